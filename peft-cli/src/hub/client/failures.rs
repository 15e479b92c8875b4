//! What went wrong with a request: from answers of the Hub, and from connections, to errors that say what helps.

use std::time::Duration;

use ureq::{Body, http::Response};

use super::Client;
use crate::hub::error::{HubError, Retry};

impl Client<'_> {
    /// The error for a request that failed before or during its response.
    pub fn failed(&self, url: &str, error: &ureq::Error) -> HubError {
        use std::io::ErrorKind as Kind;
        use ureq::{Error, Timeout};
        // A broken connection may hold next time; an unreachable server is unlikely to appear.
        let may_help = match error {
            Error::Protocol(_) => true,
            Error::Timeout(which) => !matches!(which, Timeout::Resolve | Timeout::Connect),
            Error::Io(error) => matches!(
                error.kind(),
                Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
                    | Kind::UnexpectedEof
                    | Kind::TimedOut
            ),
            _ => false,
        };
        let said = match error {
            Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        self.network(url, said, if may_help { Retry::Soon } else { Retry::Never })
    }

    /// The error for a missing or incomplete response.
    pub fn network(&self, url: &str, said: String, retry: Retry) -> HubError {
        HubError::Network {
            name: self.name.id().to_string(),
            // The query may hold a key to the file.
            url: url.split('?').next().unwrap_or(url).to_string(),
            said,
            partial: String::new(),
            retry,
        }
    }

    /// The error for a response that is neither a success nor a redirect.
    pub(super) fn refused(&self, url: &str, is_hub: bool, response: &Response<Body>) -> HubError {
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let status = response.status().as_u16();
        let code = header("x-error-code").filter(|_| is_hub).unwrap_or_default();
        let said = match header("x-error-message") {
            Some(message) => format!("status {status}, {message}"),
            None => format!("status {}", response.status()),
        };
        let token = match &self.config.token {
            Some(_) => "the one set has no access",
            None => "none is set",
        };
        let name = self.name.to_string();
        let page = format!("{}/{}", self.config.endpoint, self.name.id());
        match (status, code) {
            (_, "RevisionNotFound") => {
                let revision = self.name.revision().to_string();
                HubError::NoRevision { name, revision, url: format!("{page}/tree/main") }
            }
            (_, "EntryNotFound") => {
                let file = url.rsplit('/').next().unwrap_or_default().to_string();
                HubError::NoFile { name, file }
            }
            (_, "RepoNotFound") | (404, _) if is_hub => {
                HubError::NoRepository { name, endpoint: self.config.endpoint.clone(), token }
            }
            (401 | 403, _) if is_hub => HubError::Denied { name, said, url: page, token },
            // The key to a file stored elsewhere may have expired; the Hub issues a new one.
            (403 | 408 | 429 | 500..=599, _) => {
                let seconds = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
                let after = |seconds| Retry::After(Duration::from_secs(seconds));
                self.network(url, said, seconds.map_or(Retry::Soon, after))
            }
            _ => self.network(url, said, Retry::Never),
        }
    }
}
