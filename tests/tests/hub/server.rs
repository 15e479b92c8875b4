//! A small loopback server that answers as the Hugging Face Hub does: the list of a revision's files, and the files
//! with their ETags, large ones by a redirect to their storage. It can reproduce what goes wrong on a network, and
//! records the requests.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::json;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// What happens to the next download of a file's bytes.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// An error, to be retried at once.
    Status(u16),
    /// One bit is flipped.
    Corrupt,
    /// Ranges are ignored.
    NoRange,
    /// The bytes come after so many milliseconds.
    Slow(u64),
}

/// A request that the server received.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub token: Option<String>,
    /// Bytes of the body that were sent.
    pub sent: usize,
}

#[derive(Default)]
struct State {
    /// By `org/name`, then by revision.
    repos: BTreeMap<String, BTreeMap<String, Revision>>,
    /// Names without an organisation, and what they lead on to.
    old_names: BTreeMap<String, String>,
    /// The only token with access, and the status and code for others.
    gate: Option<(String, u16, &'static str)>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    requests: Vec<Request>,
    /// The server that stores large files. Empty: this one.
    store: String,
    /// In place of checksums: the ETag of every file, which nginx makes of time and size.
    etag: Option<&'static str>,
    /// The commit that lists of files name, whatever was asked for.
    said_commit: Option<String>,
}

#[derive(Clone)]
struct Revision {
    commit: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// The server.
#[derive(Clone)]
pub struct Hub {
    /// Its URL.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// Starts a server without repositories.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hub = Self { url, state: Arc::default() };
        let server = hub.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let server = server.clone();
                // A client that disconnects early is not an error.
                thread::spawn(move || server.answer(stream.unwrap()).ok());
            }
        });
        hub
    }

    /// Sets the files of a revision, whose commit is `commit` repeated.
    pub fn put(&self, repo: &str, revision: &str, commit: char, files: &[(&str, Vec<u8>)]) {
        let commit = commit.to_string().repeat(40);
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.clone())).collect();
        let made = Revision { commit: commit.clone(), files };
        let mut state = self.state.lock().unwrap();
        let revisions = state.repos.entry(repo.to_string()).or_default();
        revisions.insert(revision.to_string(), made.clone());
        revisions.insert(commit, made);
    }

    /// Sets the files of `main` to those of a folder, and some others.
    pub fn put_folder(&self, repo: &str, dir: &Path, also: &[(&str, Vec<u8>)]) {
        let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .map(|path| {
                (path.file_name().unwrap().to_str().unwrap().to_string(), fs::read(path).unwrap())
            })
            .collect();
        files.extend(also.iter().map(|(name, bytes)| (name.to_string(), bytes.clone())));
        let files: Vec<(&str, Vec<u8>)> =
            files.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        self.put(repo, "main", 'a', &files);
    }

    /// Leads on from the name `old`, which has no organisation, to `repo`.
    pub fn lead_on(&self, old: &str, repo: &str) {
        self.state.lock().unwrap().old_names.insert(old.to_string(), repo.to_string());
    }

    /// Denies access without `token`.
    pub fn gate(&self, token: &str, status: u16, code: &'static str) {
        self.state.lock().unwrap().gate = Some((token.to_string(), status, code));
    }

    /// Plans the faults of the next downloads of a file, in order.
    pub fn plan(&self, file: &str, faults: &[Fault]) {
        let faults = faults.iter().copied().collect();
        self.state.lock().unwrap().faults.insert(file.to_string(), faults);
    }

    /// Stores large files on another server.
    pub fn store_at(&self, other: &Self) {
        let mut state = self.state.lock().unwrap();
        other.state.lock().unwrap().repos = state.repos.clone();
        state.store.clone_from(&other.url);
    }

    /// Gives every file this ETag, which is no checksum.
    pub fn give_etag(&self, etag: &'static str) {
        self.state.lock().unwrap().etag = Some(etag);
    }

    /// Names this commit, whatever was asked for.
    pub fn say_commit(&self, commit: &str) {
        self.state.lock().unwrap().said_commit = Some(commit.to_string());
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The requests for the bytes of the large file `name`.
    pub fn downloads(&self, name: &str) -> Vec<Request> {
        let end = format!("/{name}");
        let is_download = |r: &Request| r.path.starts_with("/store/") && r.path.ends_with(&end);
        self.requests().into_iter().filter(is_download).collect()
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let mut words = first.split(' ').map(str::to_string);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
        }
        if path.is_empty() {
            return Ok(());
        }
        let request = Request {
            method,
            path: path.split('?').next().unwrap_or_default().to_string(),
            range: headers.get("range").cloned(),
            token: headers.get("authorization").cloned(),
            sent: 0,
        };
        let (head, body, length) = self.reply(&request);
        let sent = if request.method == "HEAD" { &[][..] } else { &body[..length] };
        let request = Request { sent: sent.len(), ..request };
        self.state.lock().unwrap().requests.push(request);
        stream.write_all(head.as_bytes())?;
        stream.write_all(sent)
    }

    fn reply(&self, request: &Request) -> Response {
        let mut state = self.state.lock().unwrap();
        let parts: Vec<&str> = request.path.split('/').skip(1).collect();
        if let ["api", "models", old, "revision", _] | [old, "resolve", _, _] = parts[..] {
            return match state.old_names.get(old) {
                Some(repo) => moved(&request.path.replacen(old, repo, 1)),
                None => refuse(401, "RepoNotFound"),
            };
        }
        let (repo, revision, file) = match parts[..] {
            ["api", "models", org, name, "revision", revision] => {
                (format!("{org}/{name}"), revision, None)
            }
            [org, name, "resolve", revision, file] => {
                (format!("{org}/{name}"), revision, Some(file))
            }
            ["store", org, name, revision, file] => (format!("{org}/{name}"), revision, Some(file)),
            _ => return refuse(400, ""),
        };
        let is_store = parts[0] == "store";
        if let Some((token, status, code)) = state.gate.as_ref().filter(|_| !is_store)
            && request.token.as_deref() != Some(&format!("Bearer {token}"))
        {
            return refuse(*status, code);
        }
        let Some(revisions) = state.repos.get(&repo) else {
            // The Hub's answer without a token.
            return refuse(401, "RepoNotFound");
        };
        let Some(found) = revisions.get(&revision.replace("%2F", "/")).cloned() else {
            return refuse(404, "RevisionNotFound");
        };
        let commit = &found.commit;
        let Some(file) = file else {
            return list(&repo, &found, state.said_commit.as_ref().unwrap_or(commit));
        };
        let Some(bytes) = found.files.get(file) else { return refuse(404, "EntryNotFound") };
        if is_large(file) && !is_store && state.etag.is_none() {
            return redirect(
                &format!("{}/store/{repo}/{commit}/{file}", state.store),
                commit,
                bytes,
            );
        }
        let fault = match request.method.as_str() {
            "GET" => state.faults.get_mut(file).and_then(VecDeque::pop_front),
            _ => None,
        };
        let etag = state.etag.map_or_else(|| git_name(bytes), String::from);
        drop(state);
        download([commit, &etag], bytes, request.range.as_deref(), fault)
    }
}

/// The head and the body of a response, and how much of the body is sent.
type Response = (String, Vec<u8>, usize);

fn refuse(status: u16, code: &str) -> Response {
    let head = format!(
        "HTTP/1.1 {status} Refused\r\nX-Error-Code: {code}\r\nX-Error-Message: told so\r\n\
         Retry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    (head, Vec::new(), 0)
}

/// The list of a revision's files.
fn list(repo: &str, revision: &Revision, sha: &str) -> Response {
    let siblings: Vec<_> = revision.files.keys().map(|f| json!({"rfilename": f})).collect();
    let text = json!({"id": repo, "sha": sha, "siblings": siblings, "private": false});
    let body = text.to_string().into_bytes();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    (head, body, length)
}

/// Leads to the same at another name.
fn moved(path: &str) -> Response {
    let head = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    (head, Vec::new(), 0)
}

/// Leads to the storage of a large file.
fn redirect(url: &str, commit: &str, bytes: &[u8]) -> Response {
    let (etag, size) = (sha256(bytes), bytes.len());
    let head = format!(
        "HTTP/1.1 302 Found\r\nLocation: {url}?key=secret\r\n\
         X-Repo-Commit: {commit}\r\nX-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n\
         ETag: \"of the redirect\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    (head, Vec::new(), 0)
}

/// The bytes of a file, or those of a range `bytes=N-`, with a fault.
fn download(
    [commit, etag]: [&str; 2],
    bytes: &[u8],
    range: Option<&str>,
    fault: Option<Fault>,
) -> Response {
    let (mut body, size) = (bytes.to_vec(), bytes.len());
    let mut status = "200 OK".to_string();
    let mut extra = String::new();
    let from =
        range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    if let Some(from) = from.filter(|_| !matches!(fault, Some(Fault::NoRange))) {
        status = "206 Partial Content".into();
        extra = format!("Content-Range: bytes {from}-{}/{size}\r\n", size - 1);
        body.drain(..from);
    }
    let mut length = body.len();
    match fault {
        Some(Fault::Status(status)) => return refuse(status, ""),
        Some(Fault::Cut(at)) => length = at.min(length),
        Some(Fault::Corrupt) => body[length / 2] ^= 1,
        Some(Fault::Slow(milliseconds)) => thread::sleep(Duration::from_millis(milliseconds)),
        Some(Fault::NoRange) | None => {}
    }
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n{extra}\
         X-Repo-Commit: {commit}\r\nETag: W/\"{etag}\"\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (head, body, length)
}

/// Whether the Hub stores a file elsewhere.
fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors")
}

/// The SHA-256, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The name that git gives to the bytes.
pub fn git_name(bytes: &[u8]) -> String {
    let header = format!("blob {}\0", bytes.len());
    hex(&Sha1::new_with_prefix(header).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
