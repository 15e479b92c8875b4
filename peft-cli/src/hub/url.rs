//! URLs: which belong to the Hub, and where a redirect leads.

use ureq::http::Uri;

/// Whether two URLs have the same scheme, host and port.
pub fn same_origin(one: &str, other: &str) -> bool {
    let origin = |url: &str| {
        let url: Uri = url.parse().ok()?;
        let (scheme, host) = (url.scheme_str()?.to_string(), url.host()?.to_ascii_lowercase());
        let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        Some((scheme, host, port))
    };
    origin(one).is_some_and(|one| origin(other) == Some(one))
}

/// The URL that a redirect from `url` leads to: `location` may be relative to it. `None` if that is not HTTP.
pub fn join(url: &str, location: &str) -> Option<String> {
    if location.starts_with("https://") || location.starts_with("http://") {
        return Some(location.to_string());
    }
    let base: Uri = url.parse().ok()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    match location.strip_prefix("//") {
        Some(rest) => Some(format!("{scheme}://{rest}")),
        None => location.starts_with('/').then(|| format!("{scheme}://{authority}{location}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_and_origins_compared() {
        let from = "https://hub.example/a/b/resolve/main/x?y=1";
        let to = |location: &str| join(from, location).unwrap_or_default();
        assert_eq!(to("/c?d=2"), "https://hub.example/c?d=2");
        assert_eq!(to("//cdn.example/c"), "https://cdn.example/c");
        assert_eq!(to("http://cdn.example/c"), "http://cdn.example/c");
        assert_eq!(to("ftp://cdn.example/c"), "");
        assert!(same_origin(from, "https://HUB.example:443"));
        for other in [
            "http://hub.example",
            "https://hub.example:8443",
            "https://cdn.hub.example",
            "https://hub.example@evil.example/",
            "hub.example",
        ] {
            assert!(!same_origin(from, other), "{other}");
        }
    }
}
