//! The redirect: temporary NAT rules by which new connections to a published port reach the candidate. Established ones stay
//! where they are, because NAT rules are consulted only when a connection begins.
//!
//! What is in the kernel is all there is to know: each change reads the tables first and is derived from what was found, so
//! it may be made from any state and by any process, and is one transaction for each family.
//!
//! Each rule is there for a reason that was measured; see [`Route`].

mod iptables;
mod mark;
mod route;
mod tables;

use jiff::Timestamp;

pub use iptables::{Iptables, RedirectError, Tables};
pub use route::{Family, Route, Surroundings};

use crate::model::AppName;
use mark::Mark;
use tables::Wanted;

/// The redirect of an app on this host.
#[derive(Debug)]
pub struct Redirect<'a> {
    iptables: &'a Iptables,
    app: &'a AppName,
}

impl<'a> Redirect<'a> {
    /// Of this app, whether it is there or not.
    pub fn of(app: &'a AppName, iptables: &'a Iptables) -> Self {
        Self { iptables, app }
    }

    /// From now on, new connections go where the routes say. With `until`, they stop doing so by themselves at that time, at
    /// most a second later. What was there of this app before is replaced.
    pub async fn put(
        &self,
        routes: &[Route],
        surroundings: &Surroundings,
        deployment: &str,
        until: Option<Timestamp>,
    ) -> Result<(), RedirectError> {
        let mark = Mark { app: self.app, deployment };
        for family in Family::BOTH {
            let routes: Vec<&Route> = routes.iter().filter(|route| family.is_of(route.address)).collect();
            let chain = routes.iter().flat_map(|route| route.rules(surroundings)).collect();
            let hooks = routes.iter().map(|route| route.hook(&mark, until)).collect();
            self.change(family, &Wanted::Hooked { chain, hooks }).await?;
        }
        Ok(())
    }

    /// From now on, new connections go where they went before. The rules by which established ones came stay: without any, the
    /// kernel may stop tracking connections, and cut these off.
    pub async fn unhook(&self) -> Result<(), RedirectError> {
        self.change_both(&Wanted::Unhooked).await
    }

    /// Removes all there is of this app, whatever it is.
    pub async fn remove(&self) -> Result<(), RedirectError> {
        self.change_both(&Wanted::Gone).await
    }

    /// Which deployment new connections are redirected for; nothing when they are not.
    pub async fn deployment(&self) -> Result<Option<String>, RedirectError> {
        for family in Family::BOTH {
            let saved = self.iptables.save(family).await?;
            if let Some(hook) = tables::hooks(self.app, &saved).first() {
                return Ok(Some(Mark::deployment_in(hook).unwrap_or_default().to_owned()));
            }
        }
        Ok(None)
    }

    async fn change_both(&self, wanted: &Wanted) -> Result<(), RedirectError> {
        for family in Family::BOTH {
            self.change(family, wanted).await?;
        }
        Ok(())
    }

    async fn change(&self, family: Family, wanted: &Wanted) -> Result<(), RedirectError> {
        let saved = self.iptables.save(family).await?;
        match tables::transaction(self.app, &saved, wanted) {
            Some(transaction) => self.iptables.restore(family, &transaction).await,
            None => Ok(()),
        }
    }
}
