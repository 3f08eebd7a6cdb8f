//! The redirect: temporary NAT rules by which new connections to a published port reach the candidate. Established ones stay
//! where they are, because NAT rules are consulted only when a connection begins.
//!
//! Each rule is there for a reason that was measured; see [`Route`].

mod route;

use jiff::Timestamp;

pub use route::{Route, Surroundings};

use super::iptables::{BEGINNINGS, Family, Hook, Iptables, IptablesError, Mark, Place, Table, Wanted};
use crate::model::AppName;

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
    ) -> Result<(), IptablesError> {
        let mark = Mark { app: self.app, deployment };
        for family in Family::BOTH {
            let routes: Vec<&Route> = routes.iter().filter(|route| family.is_of(route.address)).collect();
            let chain = routes.iter().flat_map(|route| route.rules(surroundings)).collect();
            let hook = |route: &&Route| {
                let matches = route.hook(&mark, until);
                BEGINNINGS.map(|from| Hook { from, at: Place::First, matches: matches.clone() })
            };
            let hooks = routes.iter().flat_map(hook).collect();
            let wanted = Wanted::Hooked { chain, hooks };
            self.iptables.change(Table::Nat, family, self.app, &wanted).await?;
        }
        Ok(())
    }

    /// From now on, new connections go where they went before. The rules by which established ones came stay: without any, the
    /// kernel may stop tracking connections, and cut these off.
    pub async fn unhook(&self) -> Result<(), IptablesError> {
        self.iptables.change_both(Table::Nat, self.app, &Wanted::Unhooked).await
    }

    /// Removes all there is of this app, whatever it is.
    pub async fn remove(&self) -> Result<(), IptablesError> {
        self.iptables.change_both(Table::Nat, self.app, &Wanted::Gone).await
    }

    /// Which deployment new connections are redirected for; nothing when they are not.
    pub async fn deployment(&self) -> Result<Option<String>, IptablesError> {
        for family in Family::BOTH {
            if let Some(hook) = self.iptables.hooks(Table::Nat, family, self.app).await?.first() {
                return Ok(Some(Mark::deployment_in(hook).unwrap_or_default().to_owned()));
            }
        }
        Ok(None)
    }
}
