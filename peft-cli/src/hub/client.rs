//! Requests to the Hub.

use std::{fs, path::Path, thread, time::Duration};

use hf_hub::api::RepoInfo;
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    address::{join, same_origin},
    cache::is_plain,
    config::HubConfig,
    error::HubError,
    name::RepoName,
};

/// Longer without a byte, and a connection is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// The Hub's own limit is not known; its files need two.
const MOST_REDIRECTS: usize = 10;
/// The first wait before a request is made again; it triples each time.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// The longest that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Speaks with the Hub about one repository.
#[derive(Debug)]
pub struct Client<'a> {
    agent: Agent,
    config: &'a HubConfig,
    name: &'a RepoName,
}

/// What a revision consists of.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its commit.
    pub commit: String,
    /// Its files.
    pub files: Vec<String>,
}

/// What the Hub says of a file.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Names its bytes.
    pub etag: String,
    /// Bytes.
    pub size: u64,
}

/// Whether a request that failed is worth making again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// No.
    Never,
    /// Yes.
    Soon,
    /// Yes, when the server says.
    After(Duration),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Of a file that is kept elsewhere, the Hub's own answer: it alone has the checksum.
    Head,
    /// The bytes from this one on, wherever they are.
    Get(u64),
}

impl<'a> Client<'a> {
    /// For a repository.
    ///
    /// # Errors
    ///
    /// [`HubError::Setting`] where there are no certificates in the file that names them.
    pub fn new(config: &'a HubConfig, name: &'a RepoName) -> Result<Self, HubError> {
        let roots = config.certificates.as_deref().map(certificates).transpose()?;
        let roots = roots.unwrap_or(RootCerts::WebPki);
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            // Redirects are followed here: the token must not go along.
            .max_redirects(0)
            // Sizes and ranges are those of the file itself.
            .accept_encoding("identity")
            .user_agent(concat!("peft-cli/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(SILENCE))
            .timeout_connect(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
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
    /// [`HubError`].
    pub fn listing(&self, revision: &str) -> Result<Listing, HubError> {
        let url = format!("{}/api/{}", self.config.endpoint, self.name.at(revision).api_url());
        let info: RepoInfo = self.persistently(&mut |_| {
            let mut response = self.send(Method::Get(0), &url)?;
            let text = response.body_mut().read_to_string();
            let text = text.map_err(|error| self.failed(&url, &error))?;
            serde_json::from_str(&text).map_err(|error| HubError::Answer {
                url: url.clone(),
                message: format!("found no list of files ({error})"),
            })
        })?;
        if !is_plain(&info.sha) {
            let message = format!("found {:?} as the commit", info.sha);
            return Err(HubError::Answer { url, message });
        }
        let files = info.siblings.into_iter().map(|file| file.rfilename).collect();
        Ok(Listing { commit: info.sha, files })
    }

    /// The address of a file.
    pub fn url(&self, commit: &str, file: &str) -> String {
        let repo = self.name.at(commit);
        format!("{}/{}/resolve/{}/{file}", self.config.endpoint, repo.url(), repo.url_revision())
    }

    /// What the Hub says of a file.
    ///
    /// # Errors
    ///
    /// [`HubError`].
    pub fn metadata(&self, commit: &str, file: &str) -> Result<Metadata, HubError> {
        let url = self.url(commit, file);
        self.persistently(&mut |_| {
            let response = self.send(Method::Head, &url)?;
            let text = |name: &str| response.headers().get(name)?.to_str().ok();
            let lacks = |what: &str| HubError::Answer {
                url: url.clone(),
                message: format!("the answer has no header {what}"),
            };
            let etag = text("x-linked-etag").or_else(|| text("etag"));
            let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"'));
            let etag = etag.filter(|etag| is_plain(etag)).ok_or_else(|| lacks("ETag"))?.to_string();
            // The length of a redirect is that of its own text.
            let length = text("content-length").filter(|_| response.status().is_success());
            let size = text("x-linked-size").or(length).and_then(|size| size.parse().ok());
            Ok(Metadata {
                etag,
                size: size.ok_or_else(|| lacks("X-Linked-Size or Content-Length"))?,
            })
        })
    }

    /// Asks for the bytes of a file from byte `from` on. Gives the answer and the byte it begins with, which
    /// is 0 where the server knows no ranges.
    ///
    /// # Errors
    ///
    /// [`HubError`].
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
            _ => Err(HubError::Answer {
                url: url.to_string(),
                message: format!("found the range {range:?}, expected one from byte {from}"),
            }),
        }
    }

    /// Makes an attempt, and makes it again where that may help, five times at most. `attempt` sets its
    /// argument where it got further than ever before: its failure then is the first one again.
    ///
    /// # Errors
    ///
    /// That of the last attempt.
    pub fn persistently<T>(
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
            match error.again() {
                Again::Soon if failures < 5 => thread::sleep(wait),
                Again::After(asked) if failures < 5 => thread::sleep(asked.min(LONGEST_WAIT)),
                _ => return Err(error),
            }
            wait *= 3;
        }
    }

    /// What is told of an error on the way.
    pub fn failed(&self, url: &str, error: &ureq::Error) -> HubError {
        use std::io::ErrorKind as Kind;
        use ureq::{Error, Timeout};
        // A connection that broke may hold the next time; a server that cannot be reached will not.
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
        self.network(url, said, if may_help { Again::Soon } else { Again::Never })
    }

    /// No answer, or half of one.
    pub fn network(&self, url: &str, said: String, again: Again) -> HubError {
        HubError::Network {
            name: self.name.id().to_string(),
            // What stands behind it is a key to the file.
            url: url.split('?').next().unwrap_or(url).to_string(),
            said,
            partial: String::new(),
            again,
        }
    }

    fn send(&self, method: Method, url: &str) -> Result<Response<Body>, HubError> {
        let mut url = url.to_string();
        for _ in 0..MOST_REDIRECTS {
            let mut request = match method {
                Method::Head => self.agent.head(&url),
                Method::Get(_) => self.agent.get(&url),
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
            if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Err(self.refused(&url, is_hub, &response));
            }
            let answer = |message: String| HubError::Answer { url: url.clone(), message };
            let location = response.headers().get(header::LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let location = location.ok_or_else(|| answer("a redirect without Location".into()))?;
            let next = join(&url, location)
                .ok_or_else(|| answer(format!("a redirect to {location:?}")))?;
            if url.starts_with("https://") && !next.starts_with("https://") {
                return Err(answer(format!("a redirect to {location:?}, which is not encrypted")));
            }
            let is_renamed =
                same_origin(&next, &url) && !response.headers().contains_key("x-linked-etag");
            if method == Method::Head && !is_renamed {
                return Ok(response);
            }
            url = next;
        }
        Err(HubError::Answer { url, message: format!("more than {MOST_REDIRECTS} redirects") })
    }

    /// What is told of an answer that is no success.
    fn refused(&self, url: &str, is_hub: bool, response: &Response<Body>) -> HubError {
        let header =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let status = response.status().as_u16();
        let code = header("x-error-code").filter(|_| is_hub).unwrap_or_default();
        let said = match header("x-error-message") {
            Some(message) => format!("status {status}, {message}"),
            None => format!("status {}", response.status()),
        };
        let token = match &self.config.token {
            Some(_) => "the one in use does not suffice",
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
            // A key to a file that is kept elsewhere may have run out; the Hub gives a new one.
            (403 | 408 | 429 | 500..=599, _) => {
                let seconds = header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
                let after = |seconds| Again::After(Duration::from_secs(seconds));
                self.network(url, said, seconds.map_or(Again::Soon, after))
            }
            _ => self.network(url, said, Again::Never),
        }
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
        return Err(bad("found no certificate in it, expected PEM".into()));
    }
    Ok(RootCerts::from(found))
}
