//! The cases. Each is named after its file and its function, and its answers are on record under that name.

use anyhow::Result;

use crate::engine::Engine;

/// A series of calls.
pub(crate) type Case = fn(&mut Engine<'_>) -> Result<()>;

macro_rules! cases {
    ($($file:ident: $($case:ident),+;)+) => {
        $(mod $file;)+

        /// All of them.
        pub(crate) const CASES: &[(&str, Case)] =
            &[$($((concat!(stringify!($file), "_", stringify!($case)), $file::$case)),+),+];

        mod fake {
            $(mod $file {
                $(#[test]
                fn $case() -> anyhow::Result<()> {
                    let name = concat!(stringify!($file), "_", stringify!($case));
                    // Whoever is first at a boot: the answers are the same.
                    for race in [fake_docker::Race::OldestFirst, fake_docker::Race::NewestFirst] {
                        let mut fake = crate::fake::Fake::new(race)?;
                        crate::check(name, crate::cases::$file::$case, &mut fake)?;
                        let complaints = crate::host::Host::complaints(&fake);
                        anyhow::ensure!(complaints.is_empty(), "the fake does not know: {complaints:#?}");
                    }
                    Ok(())
                })+
            })+
        }
    };
}

cases! {
    engine: about_itself, networks;
    containers: created, refused, listed, unknown, names, policies, removed;
    options: all, further, of_the_image, networks, refused;
    starting: and_stopping, with_a_port_taken, with_a_port_picked, without_entrypoint, without_network, without_mount;
    ending: by_itself, under_a_policy, by_signals, out_of_memory, deaf, a_stop_goes_on, asked_to;
    inside: exec, logs, health;
    images: pull, pull_in_vain, refused, lookup, platforms, remove, by_id;
    networks: made, joined, lost, made_again, beside, bridges;
    volumes: of_a_release;
    boots: after_a_cut, two_for_one_port, in_the_middle_of_a_stop, without_mount, engine_restarted;
}
