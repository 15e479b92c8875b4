//! A file from the Hub to the cache. What has come stays in `ETAG.incomplete` when a connection breaks or
//! the program is stopped, and the next try asks for the rest alone. A blob takes its name when its size and
//! checksum are right.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::PathBuf,
};

use indicatif::HumanBytes;

use super::{
    cache::{RepoCache, make_parent},
    checksum::Checksum,
    client::{Again, Client, Metadata},
    error::HubError,
    watch::Watch,
};
use crate::output;

/// Bytes moved at once.
const PIECE: usize = 1 << 16;

/// Puts a file of a commit into the cache, from the Hub where its bytes are not there yet.
///
/// # Errors
///
/// [`HubError`]. Bytes that are not those of the Hub are removed, others stay for the next try.
pub fn fetch(
    client: &Client<'_>,
    cache: &RepoCache,
    commit: &str,
    file: &str,
) -> Result<(), HubError> {
    if cache.snapshot(commit).join(file).is_file() {
        return Ok(());
    }
    let metadata = client.metadata(commit, file)?;
    let blob = cache.blob(&metadata.etag);
    if !blob.is_file() {
        let name = client.name();
        let _lock = cache.lock(&metadata.etag, || {
            output::note(format!("waiting for another process that downloads {name}: {file}"));
        })?;
        // The other process may have finished it.
        if !blob.is_file() {
            let partial = Partial::open(cache.partial(&metadata.etag), &metadata)?;
            let path = download(client, &client.url(commit, file), file, &metadata, partial)?;
            fs::rename(path, &blob).map_err(HubError::write(&blob))?;
        }
    }
    cache.link(commit, file, &metadata.etag)
}

/// Downloads what is not there yet, and checks all of it. Gives the file it is in.
fn download(
    client: &Client<'_>,
    url: &str,
    file: &str,
    metadata: &Metadata,
    mut partial: Partial,
) -> Result<PathBuf, HubError> {
    let watch = Watch::new(client.name(), file, partial.length, metadata.size);
    let outcome = client.persistently(&mut |advanced| {
        let before = partial.furthest;
        let outcome = receive(client, url, metadata, &mut partial, &watch);
        *advanced = partial.furthest > before;
        outcome
    });
    watch.finish();
    if let Err(mut error) = outcome {
        if let HubError::Network { partial: there, .. } = &mut error
            && partial.length > 0
        {
            *there = format!(
                "{} of {} are there: run again to go on from them. ",
                HumanBytes(partial.length),
                HumanBytes(metadata.size)
            );
        }
        return Err(error);
    }
    partial.file.sync_all().map_err(HubError::write(&partial.path))?;
    let wrong = if partial.length == metadata.size {
        let differs = partial.sum.differs(&metadata.etag);
        differs.map(|(kind, found)| (kind, found, metadata.etag.clone()))
    } else {
        let bytes = |count: u64| format!("{count} bytes");
        Some(("size", bytes(partial.length), bytes(metadata.size)))
    };
    match wrong {
        None => Ok(partial.path),
        Some((kind, found, expected)) => {
            fs::remove_file(&partial.path).map_err(HubError::write(&partial.path))?;
            let name = client.name().to_string();
            Err(HubError::Damaged { name, file: file.to_string(), kind, found, expected })
        }
    }
}

/// One connection: all that comes, until the file is whole.
fn receive(
    client: &Client<'_>,
    url: &str,
    metadata: &Metadata,
    partial: &mut Partial,
    watch: &Watch,
) -> Result<(), HubError> {
    if partial.length == metadata.size && metadata.size > 0 {
        return Ok(());
    }
    let (response, from) = client.open(url, partial.length)?;
    if from != partial.length {
        partial.restart(metadata)?;
    }
    watch.at(partial.length);
    let mut body = response.into_body().into_reader();
    let mut piece = vec![0; PIECE];
    loop {
        let count = match body.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(client.failed(url, &ureq::Error::from(error))),
        };
        partial.append(&piece[..count])?;
        watch.at(partial.length);
        // A server that goes on for ever must not fill the disk.
        if partial.length > metadata.size {
            return Ok(());
        }
    }
    if partial.length < metadata.size {
        return Err(client.network(url, "the connection was closed early".into(), Again::Soon));
    }
    Ok(())
}

/// The bytes of a blob that are there so far.
struct Partial {
    path: PathBuf,
    file: File,
    length: u64,
    /// The most bytes there ever were.
    furthest: u64,
    sum: Checksum,
}

impl Partial {
    fn open(path: PathBuf, metadata: &Metadata) -> Result<Self, HubError> {
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        let file = make_parent(&path).and_then(|()| options.open(&path));
        let file = file.map_err(HubError::write(&path))?;
        let sum = Checksum::of(&metadata.etag, metadata.size);
        let mut partial = Self { path, file, length: 0, furthest: 0, sum };
        let mut piece = vec![0; PIECE];
        loop {
            let count = partial.file.read(&mut piece).map_err(HubError::read(&partial.path))?;
            if count == 0 {
                break;
            }
            partial.sum.update(&piece[..count]);
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
