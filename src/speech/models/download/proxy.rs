//! The proxy for requests over HTTP, from the variables that curl reads too.

use ureq::Proxy;

use crate::runtime::problem::Diagnosis;
use crate::speech::problems::DOWNLOAD_PROXY;

/// The proxy through which `url` is fetched: that in https_proxy or http_proxy, depending on the
/// URL, or else that in all_proxy, in lower or upper case. `None` if there is none or if NO_PROXY
/// names the host. A proxy that cannot be used is an error: nothing goes past it.
///
/// A name is always looked up by the proxy.
pub(in crate::speech) fn proxy_for(
    url: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Proxy>, Diagnosis> {
    let scheme_variable = if url.starts_with("https:") { "https_proxy" } else { "http_proxy" };
    let either_case = |name: &str| {
        let names = [name.to_owned(), name.to_uppercase()];
        names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)))
    };
    // An empty value is a proxy too: none.
    let found = either_case(scheme_variable).or_else(|| either_case("all_proxy"));
    let Some((name, value)) = found.filter(|(_, value)| !value.is_empty()) else { return Ok(None) };
    if either_case("no_proxy").is_some_and(|(_, exceptions)| is_exception(host(url), &exceptions)) {
        return Ok(None);
    }
    // The value of the variable may hold a password, so it is not repeated.
    let unusable =
        |error: ureq::Error| DOWNLOAD_PROXY.with(format_args!("the proxy in {name} cannot be used: {error}"));
    let given = Proxy::new(&value).map_err(unusable)?;
    let mut proxy =
        Proxy::builder(given.protocol()).host(given.host()).port(given.port()).resolve_target(false);
    if let Some(user) = given.username() {
        proxy = proxy.username(user);
    }
    if let Some(password) = given.password() {
        proxy = proxy.password(password);
    }
    proxy.build().map(Some).map_err(unusable)
}

/// The host in a URL, without the brackets of an IPv6 address.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether a list of hosts names this one, or a domain that it is in; `*` names all.
fn is_exception(host: &str, exceptions: &str) -> bool {
    let host = host.to_ascii_lowercase();
    exceptions.split([',', ' ']).map(str::trim).filter(|exception| !exception.is_empty()).any(|exception| {
        let domain = exception.trim_start_matches('.').to_ascii_lowercase();
        let is_in_it = host.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        exception == "*" || (!domain.is_empty() && is_in_it)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        match proxy_for(url, variable) {
            Ok(proxy) => Ok(proxy.map(|proxy| {
                let scheme = proxy.protocol().to_string().to_lowercase();
                format!("{scheme}://{}:{}", proxy.host(), proxy.port())
            })),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_variables_are_those_of_curl() {
        let https = "https://huggingface.co/x";
        let found = |proxy: &str| Ok(Some(proxy.to_owned()));
        assert_eq!(proxy(https, &[]), Ok(None));
        assert_eq!(proxy(https, &[("HTTPS_PROXY", "http://a:1")]), found("http://a:1"));
        assert_eq!(proxy(https, &[("http_proxy", "http://a:1")]), Ok(None));
        let both =
            [("ALL_PROXY", "socks5h://b:2"), ("https_proxy", "http://a:1"), ("HTTPS_PROXY", "http://c:3")];
        assert_eq!(proxy(https, &both), found("http://a:1"));
        assert_eq!(proxy("http://mirror.lan/x", &both), found("socks5h://b:2"));
        assert_eq!(proxy(https, &[("https_proxy", ""), ("ALL_PROXY", "socks5://b:2")]), Ok(None));
    }

    #[test]
    fn hosts_are_excepted_with_all_below_them() {
        for (url, exceptions, is_excepted) in [
            ("http://mirror.lan/x", "other, .LAN", true),
            ("http://mirror.lan:8000/x", "mirror.lan", true),
            ("http://mirror.lan/x", "irror.lan", false),
            ("http://mirror.lan/x", "mirror.lan.org,,", false),
            ("http://[::1]:80/x", "::1", true),
            ("http://mirror.lan/x", "*", true),
            ("http://mirror.lan/x", "", false),
        ] {
            let variables = [("all_proxy", "http://a:1"), ("NO_PROXY", exceptions)];
            assert_eq!(proxy(url, &variables).unwrap().is_none(), is_excepted, "{url} {exceptions}");
        }
    }

    #[test]
    fn a_proxy_that_is_not_known_is_an_error_without_its_password() {
        for value in ["gopher://me:hunter2@a:1", "socks5://", "http://a b"] {
            let error = proxy("https://huggingface.co", &[("ALL_PROXY", value)]).unwrap_err();
            assert!(error.contains("ALL_PROXY") && !error.contains("hunter2"), "{error}");
        }
    }
}
