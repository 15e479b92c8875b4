//! HTTP requests to the Hub: redirects, retries, and who is sent the token.

mod failures;

use std::{fs, io, path::Path, thread, time::Duration};

use serde::Deserialize;
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    config::HubConfig,
    error::{HubError, Retry},
    name::{RepoName, is_commit, is_file_name},
    url::{join, same_origin},
};

/// After this long without a byte, a connection is given up.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for the headers of a response, and for a list of files, of which a few bytes a second may come for
/// ever.
const MAX_RESPONSE: Duration = Duration::from_secs(120);
/// The Hub's files need two; its own limit is not documented.
const MAX_REDIRECTS: usize = 10;
/// Attempts at a request that makes no progress.
const MAX_ATTEMPTS: usize = 5;
/// The wait before the first retry; it triples each time.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// The longest wait that a server may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Makes the requests about one repository.
#[derive(Debug)]
pub struct Client<'a> {
    agent: Agent,
    config: &'a HubConfig,
    name: &'a RepoName,
}

/// The content of a revision.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its commit.
    pub commit: String,
    /// Its files.
    pub files: Vec<String>,
}

/// The Hub's metadata of a file.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Identifies its bytes.
    pub etag: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// The headers. For a file stored elsewhere those of the Hub's own redirect, which alone have the checksum.
    Head,
    /// The list of files.
    List,
    /// The bytes from this offset on, wherever they are stored.
    Get(u64),
}

/// The Hub's answer to a request for the list of files.
#[derive(Deserialize)]
struct RepoInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl<'a> Client<'a> {
    /// Makes a client for one repository.
    ///
    /// # Errors
    ///
    /// [`HubError::Setting`] if the file of certificates contains none.
    pub fn new(config: &'a HubConfig, name: &'a RepoName) -> Result<Self, HubError> {
        let roots = config.certificates.as_deref().map(certificates).transpose()?;
        let roots = roots.unwrap_or(RootCerts::WebPki);
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            // Redirects are followed below: the token must not be sent to other hosts.
            .max_redirects(0)
            // Sizes and ranges refer to the file itself.
            .accept_encoding("identity")
            .user_agent(concat!("peft-cli/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(TIMEOUT))
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(MAX_RESPONSE))
            .timeout_per_read(Some(TIMEOUT))
            .timeout_per_write(Some(TIMEOUT))
            .build()
            .new_agent();
        Ok(Self { agent, config, name })
    }

    /// The repository.
    pub fn name(&self) -> &RepoName {
        self.name
    }

    /// The commit and the files of a revision.
    ///
    /// # Errors
    ///
    /// Returns a [`HubError`] if the request fails, or if its answer cannot be used.
    pub fn listing(&self, revision: &str) -> Result<Listing, HubError> {
        let url = format!("{}/{}", self.config.endpoint, self.name.listing_path(revision));
        let info: RepoInfo = self.with_retries(&mut |_| {
            let mut response = self.send(Method::List, &url)?;
            let text = response.body_mut().read_to_string();
            let text = text.map_err(|error| match &error {
                // Compressed, although the request rules it out, or not the Hub at all.
                ureq::Error::Io(io) if io.kind() == io::ErrorKind::InvalidData => {
                    let message = "expected a list of files, found a body that is not text".into();
                    HubError::Response { url: url.clone(), message }
                }
                _ => self.failed(&url, &error),
            })?;
            serde_json::from_str(&text).map_err(|error| HubError::Response {
                url: url.clone(),
                message: format!("expected a list of files ({error})"),
            })
        })?;
        let expected = match is_commit(revision) {
            _ if !is_file_name(&info.sha) => Some("a name without slashes".to_string()),
            true if !revision.eq_ignore_ascii_case(&info.sha) => Some(format!("{revision:?}")),
            _ => None,
        };
        if let Some(expected) = expected {
            let message = format!("found the commit {:?}, expected {expected}", info.sha);
            return Err(HubError::Response { url, message });
        }
        let files = info.siblings.into_iter().map(|file| file.rfilename).collect();
        let commit = match is_commit(&info.sha) {
            true => info.sha.to_ascii_lowercase(),
            false => info.sha,
        };
        Ok(Listing { commit, files })
    }

    /// The URL of a file.
    pub fn url(&self, commit: &str, file: &str) -> String {
        format!("{}/{}", self.config.endpoint, self.name.file_path(commit, file))
    }

    /// The metadata of a file.
    ///
    /// # Errors
    ///
    /// Returns a [`HubError`] if the request fails, or if its answer cannot be used.
    pub fn metadata(&self, commit: &str, file: &str) -> Result<Metadata, HubError> {
        let url = self.url(commit, file);
        self.with_retries(&mut |_| {
            let response = self.send(Method::Head, &url)?;
            let text = |name: &str| response.headers().get(name)?.to_str().ok();
            let lacks = |what: &str| HubError::Response {
                url: url.clone(),
                message: format!("the response has no header {what}"),
            };
            let etag = text("x-linked-etag").or_else(|| text("etag"));
            let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
            let etag =
                etag.filter(|etag| is_file_name(etag)).ok_or_else(|| lacks("ETag"))?.to_string();
            // The length of a redirect is that of its own body.
            let length = text("content-length").filter(|_| response.status().is_success());
            let size = text("x-linked-size").or(length).and_then(|size| size.parse().ok());
            Ok(Metadata {
                etag,
                size: size.ok_or_else(|| lacks("X-Linked-Size or Content-Length"))?,
            })
        })
    }

    /// Requests the bytes of a file from offset `from` on. Returns the response and the offset at which it begins,
    /// which is 0 if the server ignores ranges, or refuses this one (status 416).
    ///
    /// # Errors
    ///
    /// Returns a [`HubError`] if the request fails, or if its answer cannot be used.
    pub fn open(&self, url: &str, from: u64) -> Result<(Response<Body>, u64), HubError> {
        let response = self.send(Method::Get(from), url)?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok((response, 0));
        }
        let range =
            response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let start = range
            .and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
        match start {
            Some(start) if start == from => Ok((response, from)),
            _ => Err(HubError::Response {
                url: url.to_string(),
                message: format!("found the range {range:?}, expected one from byte {from}"),
            }),
        }
    }

    /// Makes an attempt, and up to four more if that may help. `attempt` sets its argument if it got further than any
    /// before it; counting then starts again.
    ///
    /// # Errors
    ///
    /// Returns the error of the last attempt.
    pub fn with_retries<T>(
        &self,
        attempt: &mut dyn FnMut(&mut bool) -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let mut wait = FIRST_WAIT;
        let mut failures = 0;
        loop {
            let mut advanced = false;
            let error = match attempt(&mut advanced) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if advanced {
                (failures, wait) = (0, FIRST_WAIT);
            }
            failures += 1;
            match error.retry() {
                Retry::Soon if failures < MAX_ATTEMPTS => thread::sleep(wait),
                Retry::After(asked) if failures < MAX_ATTEMPTS => {
                    thread::sleep(asked.min(MAX_WAIT));
                }
                _ => return Err(error),
            }
            wait *= 3;
        }
    }

    fn send(&self, mut method: Method, url: &str) -> Result<Response<Body>, HubError> {
        let mut url = url.to_string();
        for _ in 0..MAX_REDIRECTS {
            let mut request = match method {
                Method::Head => self.agent.head(&url),
                Method::Get(_) => self.agent.get(&url),
                Method::List => {
                    let request = self.agent.get(&url);
                    request.config().timeout_recv_body(Some(MAX_RESPONSE)).build()
                }
            };
            if let Method::Get(from @ 1..) = method {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let is_hub = same_origin(&url, &self.config.endpoint);
            if let Some(token) = self.config.token.as_ref().filter(|_| is_hub) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| self.failed(&url, &error))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if status == StatusCode::RANGE_NOT_SATISFIABLE && matches!(method, Method::Get(1..)) {
                method = Method::Get(0);
                continue;
            }
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(self.refused(&url, is_hub, &response));
            }
            let unexpected = |message: String| HubError::Response { url: url.clone(), message };
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let location = location
                .ok_or_else(|| unexpected("found a redirect without a Location header".into()))?;
            let next = join(&url, location)
                .ok_or_else(|| unexpected(format!("found a redirect to {location:?}")))?;
            if url.starts_with("https://") && !next.starts_with("https://") {
                let message = format!("found a redirect to {location:?}, which is not encrypted");
                return Err(unexpected(message));
            }
            let is_renamed =
                same_origin(&next, &url) && !response.headers().contains_key("x-linked-etag");
            if method == Method::Head && !is_renamed {
                return Ok(response);
            }
            url = next;
        }
        let message = format!("found more than {MAX_REDIRECTS} redirects");
        Err(HubError::Response { url, message })
    }
}

/// The certificates in a PEM file.
fn certificates(path: &Path) -> Result<RootCerts, HubError> {
    let bad = |what: String| HubError::Setting {
        variable: "SSL_CERT_FILE",
        message: format!("{}: {what}", path.display()),
    };
    let pem = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let found: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if found.is_empty() {
        return Err(bad("contains no certificate, expected PEM".into()));
    }
    Ok(RootCerts::from(found))
}
