//! Downloads a file to the cache. If the connection breaks or the program is stopped, what was received stays in
//! `ETAG.incomplete`, and the next attempt requests only the rest, where the file system has locks. A blob gets its final
//! name once its size and checksum are verified.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use indicatif::DecimalBytes;

use super::{
    cache::{RepoCache, make_parent},
    checksum::{Checksum, blob_name},
    client::{Client, Metadata},
    error::{HubError, Retry},
    report::{Download, Progress, Report},
};

/// Bytes read at a time.
const BUFFER: usize = 1 << 16;
/// In this time [`LEAST`] bytes must come: a server may send one now and then for ever.
const WINDOW: Duration = Duration::from_secs(60);
const LEAST: u64 = 1_000;

/// Puts a file of a commit into the cache, downloading its bytes if they are not there yet.
///
/// # Errors
///
/// Returns a [`HubError`] if the file cannot be fetched. Corrupt bytes are removed; an
/// incomplete download stays for the next attempt.
pub fn fetch(
    client: &Client<'_>,
    cache: &RepoCache,
    commit: &str,
    file: &str,
    report: &dyn Report,
) -> Result<(), HubError> {
    if cache.snapshot(commit).join(file).is_file() {
        return Ok(());
    }
    let metadata = client.metadata(commit, file)?;
    let held_as = blob_name(&metadata.etag, commit, file);
    let blob = cache.blob(&held_as);
    if !blob.is_file() {
        let name = client.name();
        let lock = cache.lock(&held_as, || {
            report.note(&format!("waiting for another process to download {name}: {file}"));
        })?;
        // By now the other process may have finished.
        if !blob.is_file() {
            // Without a lock another process may write at the same time: not to the same file.
            let path = match &lock {
                Some(_) => cache.partial(&held_as),
                None => cache.own_partial(&held_as),
            };
            let partial = Partial::open(path.clone(), &metadata, lock.is_some())?;
            if matches!(partial.sum, Checksum::None) {
                report.note(&format!(
                    "note: {name}: {file}: the server names no checksum, so only its size is verified"
                ));
            }
            let download = Download { name, file, received: partial.length, size: metadata.size };
            let progress = report.begin(&download);
            let url = client.url(commit, file);
            let received = receive_all(client, &url, &metadata, partial, &*progress);
            drop(progress);
            let verified = received.and_then(|partial| verify(client, file, &metadata, &partial));
            if verified.is_err() && lock.is_none() {
                // Nobody goes on with it. The error that matters is the one at hand.
                let _ = fs::remove_file(&path);
            }
            verified?;
            fs::rename(path, &blob).map_err(HubError::write(&blob))?;
        }
    }
    cache.link(commit, file, &held_as)
}

/// Receives what is missing of a blob, over several connections if necessary.
fn receive_all(
    client: &Client<'_>,
    url: &str,
    metadata: &Metadata,
    mut partial: Partial,
    progress: &dyn Progress,
) -> Result<Partial, HubError> {
    let outcome = client.with_retries(&mut |advanced| {
        let before = partial.furthest;
        let outcome = receive(client, url, metadata, &mut partial, progress);
        *advanced = partial.furthest > before;
        outcome
    });
    match outcome {
        Ok(()) => Ok(partial),
        Err(mut error) => {
            if let HubError::Network { partial: received, .. } = &mut error
                && partial.length > 0
                && partial.is_resumed
            {
                let (length, size) = (DecimalBytes(partial.length), DecimalBytes(metadata.size));
                *received =
                    format!("{length} of {size} received: run the command again to resume. ");
            }
            Err(error)
        }
    }
}

/// Checks the size and the checksum of a blob. Removes it if they are wrong.
fn verify(
    client: &Client<'_>,
    file: &str,
    metadata: &Metadata,
    partial: &Partial,
) -> Result<(), HubError> {
    partial.file.sync_all().map_err(HubError::write(&partial.path))?;
    // The file may hold more than what was received here and summed, if another program wrote to it.
    let held = partial.file.metadata().map_err(HubError::read(&partial.path))?.len();
    let wrong = match [partial.length, held].into_iter().find(|size| *size != metadata.size) {
        None => {
            let differs = partial.sum.differs(&metadata.etag);
            differs.map(|(kind, found)| (kind, found, metadata.etag.clone()))
        }
        Some(size) => {
            let bytes = |count: u64| format!("{count} bytes");
            Some(("size", bytes(size), bytes(metadata.size)))
        }
    };
    match wrong {
        None => Ok(()),
        Some((kind, found, expected)) => {
            fs::remove_file(&partial.path).map_err(HubError::write(&partial.path))?;
            let name = client.name().to_string();
            Err(HubError::Corrupt { name, file: file.to_string(), kind, found, expected })
        }
    }
}

/// Receives from one connection until the file is complete.
fn receive(
    client: &Client<'_>,
    url: &str,
    metadata: &Metadata,
    partial: &mut Partial,
    progress: &dyn Progress,
) -> Result<(), HubError> {
    if partial.length == metadata.size && metadata.size > 0 {
        return Ok(());
    }
    let (response, from) = client.open(url, partial.length)?;
    if from != partial.length {
        partial.restart(metadata)?;
    }
    progress.update(partial.length);
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; BUFFER];
    let mut window = (Instant::now(), partial.length);
    loop {
        let (since, length) = window;
        if since.elapsed() >= WINDOW {
            if partial.length - length < LEAST {
                let said = format!("fewer than {} came in a minute", DecimalBytes(LEAST));
                return Err(client.network(url, said, Retry::Never));
            }
            window = (Instant::now(), partial.length);
        }
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(client.failed(url, &ureq::Error::from(error))),
        };
        partial.append(&buffer[..count])?;
        progress.update(partial.length);
        // A server that never stops must not fill the disk.
        if partial.length > metadata.size {
            return Ok(());
        }
    }
    if partial.length < metadata.size {
        return Err(client.network(url, "the connection was closed early".into(), Retry::Soon));
    }
    Ok(())
}

/// The bytes of a blob received so far.
struct Partial {
    path: PathBuf,
    file: File,
    /// Whether another attempt goes on with it.
    is_resumed: bool,
    length: u64,
    /// The greatest length so far; a server without ranges makes it start again.
    furthest: u64,
    sum: Checksum,
}

impl Partial {
    fn open(path: PathBuf, metadata: &Metadata, is_resumed: bool) -> Result<Self, HubError> {
        // The name is known beforehand: it must not lead to another file.
        if path.is_symlink() {
            fs::remove_file(&path).map_err(HubError::write(&path))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        let file = make_parent(&path).and_then(|()| options.open(&path));
        let file = file.map_err(HubError::write(&path))?;
        let sum = Checksum::of(&metadata.etag, metadata.size);
        let mut partial = Self { path, file, is_resumed, length: 0, furthest: 0, sum };
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = partial.file.read(&mut buffer).map_err(HubError::read(&partial.path))?;
            if count == 0 {
                break;
            }
            partial.sum.update(&buffer[..count]);
            partial.length += count as u64;
        }
        if partial.length > metadata.size {
            partial.restart(metadata)?;
        }
        partial.furthest = partial.length;
        Ok(partial)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(HubError::write(&self.path))?;
        self.sum.update(bytes);
        self.length += bytes.len() as u64;
        self.furthest = self.furthest.max(self.length);
        Ok(())
    }

    fn restart(&mut self, metadata: &Metadata) -> Result<(), HubError> {
        self.file.set_len(0).map_err(HubError::write(&self.path))?;
        self.length = 0;
        self.sum = Checksum::of(&metadata.etag, metadata.size);
        Ok(())
    }
}
