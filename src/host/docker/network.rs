//! The network of a release, on which its containers find each other by name.

use std::collections::HashMap;

use bollard::models::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::labels::{self, ReleaseLabels};
use super::{CREATE, Docker, DockerError, INSPECT, Joined, REMOVE, gone_is_fine, short};
use crate::model::AppName;

/// A network that was made for a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseNetwork {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub labels: ReleaseLabels,
}

/// What Docker says when it has no addresses for one more network (libnetwork's ipam).
const NO_ADDRESSES: [&str; 2] =
    ["non-overlapping IPv4 address pool", "predefined address pools have been fully subnetted"];

/// The option of a network that says what its bridge is called: `docker0` is one.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// What it says of a network that a running container is on (libnetwork).
const IS_IN_USE: &str = "has active endpoints";

/// What it says of a container that is on a network already (libnetwork), and of one that is not (daemon).
const IS_THERE: &str = "already exists in network";
const IS_NOT_THERE: &str = "is not connected to";

impl Docker {
    /// Makes a network, unless it is there for the same deployment.
    pub async fn create_network(&self, network: &ReleaseNetwork) -> Result<(), DockerError> {
        let name = &network.name;
        if let Some(there) = self.networks(name).await?.first() {
            return match there {
                Some(labels) if *labels == network.labels => Ok(()),
                _ => Err(DockerError::NetworkTaken { name: name.clone() }),
            };
        }
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(network.labels.to_map()),
            ..NetworkCreateRequest::default()
        };
        let act = format!("create network '{name}'");
        match self.call(act, CREATE, self.client.create_network(request)).await {
            Err(DockerError::Refused { message, .. })
                if NO_ADDRESSES.iter().any(|words| message.contains(words)) =>
            {
                Err(DockerError::NoAddresses { name: name.clone() })
            }
            answer => answer.map(drop),
        }
    }

    /// The labels of the networks of this name: Docker's older versions let two have one name. Nothing for one that is not
    /// a release's.
    async fn networks(&self, name: &str) -> Result<Vec<Option<ReleaseLabels>>, DockerError> {
        let filters = HashMap::from([("name", vec![name])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let listed = self.call("list networks", INSPECT, self.client.list_networks(Some(options))).await?;
        // The filter also finds what only contains the name.
        let named = listed.into_iter().filter(|network| network.name.as_deref() == Some(name));
        Ok(named.map(|network| ReleaseLabels::of(&network.labels.unwrap_or_default())).collect())
    }

    /// The networks of the releases of an app.
    pub async fn networks_of(&self, app: &AppName) -> Result<Vec<ReleaseNetwork>, DockerError> {
        let label = format!("{}={app}", labels::APP);
        let filters = HashMap::from([("label", vec![label.as_str()])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let listed = self.call("list networks", INSPECT, self.client.list_networks(Some(options))).await?;
        let of = |network: bollard::models::Network| {
            let labels = ReleaseLabels::of(&network.labels?)?;
            Some(ReleaseNetwork { name: network.name?, labels })
        };
        Ok(listed.into_iter().filter_map(of).collect())
    }

    /// The names of the bridges of all networks of the Engine, as the kernel has them.
    pub async fn bridges(&self) -> Result<Vec<String>, DockerError> {
        let filters = HashMap::from([("driver", vec!["bridge"])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let listed = self.call("list networks", INSPECT, self.client.list_networks(Some(options))).await?;
        let of = |network: bollard::models::Network| {
            let named = network.options.unwrap_or_default().remove(BRIDGE_NAME);
            // Docker names a bridge after the network's id (libnetwork's driver).
            named.or_else(|| Some(format!("br-{}", network.id?.get(..12)?)))
        };
        Ok(listed.into_iter().filter_map(of).collect())
    }

    /// Puts a container on a network. One that runs and is there already stays as it is.
    pub async fn connect(&self, id: &str, to: &Joined) -> Result<(), DockerError> {
        let act = format!("connect container '{}' to network '{}'", short(id), to.name);
        let request =
            NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(to.endpoint()) };
        match self.call(act, INSPECT, self.client.connect_network(&to.name, request)).await {
            Err(DockerError::Refused { message, .. }) if message.contains(IS_THERE) => Ok(()),
            answer => answer,
        }
    }

    /// Takes a container off a network, which may be gone.
    pub async fn disconnect(&self, id: &str, from: &str) -> Result<(), DockerError> {
        let act = format!("disconnect container '{}' from network '{from}'", short(id));
        let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(false) };
        match self.call(act, INSPECT, self.client.disconnect_network(from, request)).await {
            Err(DockerError::Refused { message, .. }) if message.contains(IS_NOT_THERE) => Ok(()),
            answer => gone_is_fine(answer),
        }
    }

    /// Removes a network. False: a container that runs is on it, so it stays.
    pub async fn remove_network(&self, name: &str) -> Result<bool, DockerError> {
        let act = format!("remove network '{name}'");
        match self.call(act, REMOVE, self.client.remove_network(name)).await {
            Err(DockerError::Refused { message, .. }) if message.contains(IS_IN_USE) => Ok(false),
            answer => gone_is_fine(answer).map(|()| true),
        }
    }
}
