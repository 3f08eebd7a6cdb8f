//! The proxy of our own HTTPS: AWS's APIs and the registry's manifests. The Engine, which pulls, has settings of its own.

use aws_smithy_http_client::proxy::ProxyConfig;

/// The variables that name it, in the order of curl: lower case before upper case, the special before the general.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Never through a proxy, whatever `NO_PROXY` says: the instance's metadata, and the credentials of tasks and pods. These
/// speak plain HTTP, for which no proxy is set at all; this is a second safeguard.
const NEVER: &str = "169.254.169.254,fd00:ec2::254,169.254.170.2,169.254.170.23,fd00:ec2::23";

/// A variable that is not the address of a proxy. Its value is left out: it may contain a password.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is not the URL of an HTTP proxy: write http://HOST:PORT")]
pub struct ProxyError {
    variable: &'static str,
}

/// The proxy that the environment names, if any.
pub fn of_the_environment() -> Result<ProxyConfig, ProxyError> {
    named_by(|name| std::env::var(name).ok())
}

/// The proxy as people know it: its address without user and password, and the variable that names it.
pub fn shown() -> Option<String> {
    shown_by(|name| std::env::var(name).ok())
}

fn shown_by(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (name, url) = written(&variable)?;
    let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let address = address.rsplit('@').next().unwrap_or_default().trim_end_matches('/');
    Some(format!("{address} ({name})"))
}

fn written(variable: &impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (name, url) = VARIABLES.into_iter().find_map(|name| Some((name, set(name)?)))?;
    Some((name, if url.contains("://") { url } else { format!("http://{url}") }))
}

fn named_by(variable: impl Fn(&str) -> Option<String>) -> Result<ProxyConfig, ProxyError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some((name, url)) = written(&variable) else { return Ok(ProxyConfig::disabled()) };
    let past_it = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
    let proxy = ProxyConfig::https(url.as_str()).map_err(|_| ProxyError { variable: name })?;
    Ok(proxy.no_proxy(format!("{past_it},{NEVER}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &'static [(&str, &str)]) -> Result<ProxyConfig, ProxyError> {
        named_by(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn without_a_variable_or_with_an_empty_one_there_is_no_proxy() {
        assert!(with(&[]).unwrap().is_disabled());
        assert!(with(&[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://p:1")]).unwrap().is_disabled());
        assert!(!with(&[("ALL_PROXY", "p:3128")]).unwrap().is_disabled());
    }

    #[test]
    fn a_proxy_is_shown_with_its_variable_and_without_its_password() {
        for (value, shown) in [
            ("http://me:p@ss@proxy.internal:3128/", "proxy.internal:3128 (https_proxy)"),
            ("proxy:3128", "proxy:3128 (https_proxy)"),
        ] {
            let variable =
                |name: &str| ["https_proxy", "HTTPS_PROXY"].contains(&name).then(|| value.to_owned());
            assert_eq!(shown_by(variable).as_deref(), Some(shown));
        }
        assert_eq!(shown_by(|_| None), None);
    }

    #[test]
    fn an_invalid_proxy_is_named_by_its_variable_and_not_shown() {
        for bad in ["socks5://me:pass@p:1080", "http://", "http://me:pass@"] {
            let variables: &'static [(&str, &str)] = Box::leak(Box::new([("HTTPS_PROXY", bad)]));
            let error = with(variables).unwrap_err().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("pass"), "{error}");
        }
    }
}
