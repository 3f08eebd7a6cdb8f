//! Is there anything to change?

use async_trait::async_trait;

use super::Step;
use crate::deploy::changes::{self, Answer};
use crate::deploy::context::{Context, Gathered};
use crate::deploy::serving;
use crate::journal::{Fact, Facts};
use crate::model::{Failure, Nature};
use crate::state::Verdict;
use crate::text::{clean, shorten_middle};

/// The longest cause in a note, in characters.
const LONGEST_CAUSE: usize = 160;

/// Says so where the same images with the same configuration were refused before: it may be somebody's second try, and it may be a tag
/// that means more of the same.
fn refused_before(context: &Context<'_>, asked: Option<&str>) -> Option<String> {
    let asked = asked?;
    let all = context.releases.every_record();
    let mut same = all.values().rev().filter(|record| record.fingerprint.as_deref() == Some(asked));
    let last = same.find(|record| record.release != context.release())?;
    let Verdict::Refused { cause } = &last.verdict else { return None };
    let at = last.at.strftime("%Y-%m-%d %H:%M UTC");
    let cause = shorten_middle(&clean(cause), LONGEST_CAUSE);
    Some(format!(
        "the same images with the same configuration were refused here at {at}, as {}: {cause}",
        last.release
    ))
}

/// Sees whether the live release is what is asked for, and notes what is live. One that is sick is replaced: that is
/// what somebody who deploys it again hopes for.
pub struct Compare;

#[async_trait(?Send)]
impl Step for Compare {
    fn verb(&self) -> &'static str {
        "compare"
    }

    fn words(&self) -> &'static str {
        "compare with the live release"
    }

    fn nature(&self) -> Nature {
        Nature::LOOKS
    }

    async fn perform(
        &self,
        context: &Context<'_>,
        facts: &Facts,
        gathered: &mut Gathered,
    ) -> Result<Vec<Fact>, Failure> {
        let live = serving::live_of_all(&context.host.docker, context.settings()).await?;
        let mut found: Vec<Fact> = serving::as_facts(&live).collect();
        let asked = context.fingerprint(facts);
        if let Answer::Nothing(release) = changes::needed(&live, asked.as_deref(), context, gathered).await? {
            found.push(Fact::Unchanged { release });
        } else if let Some(note) = refused_before(context, asked.as_deref()) {
            context.talk.say(&format!("  note: {note}"));
            gathered.notes.push(note);
        }
        Ok(found)
    }
}
