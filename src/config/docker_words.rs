//! Keys that people know from Docker and Compose and write in `handover.toml`: what to write there, or why there is nothing.

/// What to say to a key that handover does not have. None: it is no word of Docker's that we know.
pub(super) fn advice(key: &str) -> Option<&'static str> {
    let plain = key.to_lowercase().replace('_', "-");
    WORDS.iter().find(|(words, _)| words.split(' ').any(|word| word == plain)).map(|(_, advice)| *advice)
}

const RESTART: &str =
    "leave it out: restart policies are handover's ledger, set so that a reboot always brings a release back";
const ORDER: &str =
    "leave it out: processes are switched by name, one after the other, and do not wait for one another";
const SECRETS: &str = "write a table [secret.NAME], and NAME.FIELD in [environment] or in a template";
const SWARM: &str =
    "leave it out: one instance runs one container of each process; CodeDeploy's deployment groups say where";
const NAMESPACE: &str = "not there: a container has namespaces of its own";
const CPU: &str = "write cpus, such as cpus = 0.5: shares and sets of processors are not there";
const MEMORY: &str =
    "write memory, such as memory = \"512m\": that is the limit, and reservations and swap are not there";
const BUILD: &str = "leave it out: build and push the image before, or build it on the instance and write local = true in [image]";

/// Words of one meaning, with dashes, and what to do.
const WORDS: &[(&str, &str)] = &[
    (
        "privileged",
        "not there, since it gives the container the host: write what it needs in devices and capabilities",
    ),
    ("restart restart-policy", RESTART),
    (
        "ports port publish-ports",
        "write publish, such as publish = [\"8000:8000\"]; a probe's port is health.port",
    ),
    ("expose", "leave it out: publish = [\"8000:8000\"] makes a port reachable"),
    (
        "environment env envs environment-variables variables",
        "write the table [environment], which all processes have",
    ),
    ("env-file env-files", "write from = [\"FILE\"] in [environment]"),
    ("depends-on links external-links", ORDER),
    ("networks network-mode net", "write network: the name of one network, \"host\" or \"none\""),
    (
        "network-alias network-aliases aliases ip ipv4-address mac-address",
        "not there: only network, the name of one network",
    ),
    ("volumes-from", "not there: write what it has in volumes"),
    ("volume mount mounts bind binds", "write volumes, such as volumes = [\"/HOST/PATH:/PATH:ro\"]"),
    ("cap-add cap-drop", "write capabilities = { add = [...], drop = [...] }"),
    (
        "healthcheck health-check health-cmd",
        "write [process.NAME.health], with docker = true for the image's HEALTHCHECK",
    ),
    ("retries", "write successes: how many probes in a row; a new container has until deadline"),
    ("start-period start-interval", "write deadline: until then a new container may be unhealthy"),
    ("container-name", "leave it out: a container's name is APP-PROCESS"),
    (
        "mem-limit memory-limit memory-reservation mem-reservation memswap-limit memory-swap mem-swappiness",
        MEMORY,
    ),
    ("cpu cpu-shares cpu-quota cpu-period cpuset cpuset-cpus cpu-count cpu-percent", CPU),
    ("build dockerfile", BUILD),
    ("image", "write the table [image] with repository and tag, which all processes have"),
    ("digest", "write tag: it is resolved to a digest once for each deployment"),
    (
        "pull pull-policy",
        "leave it out: each deployment pulls the digest that the tag means then, if it is not here; local = true in [image] never pulls",
    ),
    ("registry credentials registry-auth", "write [image] auth: \"ecr\", \"none\" or { secret = \"NAME\" }"),
    ("service services processes container containers", "write one table [process.NAME] for each"),
    ("secrets", SECRETS),
    ("configs config files", "write a table [file.\"/PATH\"] with a template"),
    ("logging log-driver log-opt log-opts logs", "write log = { driver = \"...\", options = { ... } }"),
    ("pid ipc uts userns userns-mode cgroup cgroup-parent cgroupns isolation", NAMESPACE),
    ("shm", "write shm-size"),
    ("sysctl sysctls", "not there: set it on the host, or in the image's entrypoint"),
    ("ulimit", "write ulimits = { nofile = 65536 }"),
    ("stop-grace-period grace-period stop-grace", "write stop-timeout, such as stop-timeout = \"30s\""),
    ("add-host add-hosts extra-host hosts", "write extra-hosts = [\"NAME:ADDRESS\"]"),
    (
        "tty stdin-open interactive attach detach",
        "leave it out: a service has no terminal; handover run opens a shell",
    ),
    ("platform", "leave it out: of an image for several platforms the Engine takes its own"),
    ("profiles", "write [group.NAME] for what differs in a deployment group"),
    ("deploy replicas scale update-config rollback-config placement", SWARM),
    ("resources limits reservations", "write memory and cpus"),
    ("label annotations", "write labels = { NAME = \"VALUE\" }"),
    ("workdir workingdir", "write working-dir"),
    ("cmd args arguments", "write command = [\"PROGRAM\", \"ARGUMENT\"]"),
    ("device", "write devices = [\"/dev/NAME\"]"),
    ("gpu", "write gpus = \"all\""),
    ("runtime", "not there: the Engine's default runtime runs it; for NVIDIA's write gpus"),
    ("dns-search dns-opt dns-option dns-options domainname", "not there: only dns, the servers' addresses"),
    ("group-add", "not there: user = \"USER:GROUP\" has one group"),
    (
        "oom-kill-disable oom-score-adj",
        "not there: memory is the limit, and the kernel's choice counts as a failure",
    ),
    ("storage-opt", "not there: it is the Engine's"),
    ("auto-remove rm", "leave it out: handover removes what it no longer keeps"),
    ("pre-start post-start pre-stop post-stop lifecycle", "not there: write another script into appspec.yml"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_known_in_every_spelling() {
        for key in
            ["privileged", "CapAdd", "cap_add", "cap-add", "Ports", "depends_on", "mem_limit", "network_mode"]
        {
            assert_eq!(advice(key).is_some(), key != "CapAdd", "{key}");
        }
        assert_eq!(advice("memroy"), None);
    }

    #[test]
    fn no_word_stands_there_twice() {
        let mut words: Vec<&str> = WORDS.iter().flat_map(|(words, _)| words.split(' ')).collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
    }
}
