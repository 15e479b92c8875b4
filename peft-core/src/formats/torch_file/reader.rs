//! From the bytes of a file to its tensors.

use std::{collections::BTreeMap, ops::Range, path::Path};

use burn::tensor::TensorData;

use super::{
    archive::{self, Archive, quoted},
    content::{self, Content, Parsed},
    legacy::{self, Storages},
    objects::View,
    place::Place,
};
use crate::{
    error::{Error, Result},
    formats::{floats::upcast, instead::instead},
};

/// The content of a torch file; f16 and bf16 values are upcast to f32.
#[derive(Clone, Debug, PartialEq)]
pub enum TorchFile {
    /// One tensor without a name.
    Bare(TensorData),
    /// Tensors by name.
    Named(BTreeMap<String, TensorData>),
}

/// Reads the bytes of a file of nothing but tensors of floats; `path` is named in errors.
///
/// # Errors
///
/// [`Error::File`] if it is not a torch archive, is damaged or truncated, or contains anything but
/// tensors; [`Error::Tensor`] if a tensor does not hold floats or does not fit its storage.
pub fn read(bytes: &[u8], path: &Path) -> Result<TorchFile> {
    let opened = Opened::new(bytes, true).map_err(|message| Error::file(path, message))?;
    // Tied tensors share a storage, so their sum may exceed the file, but not by much.
    let mut budget = bytes.len().saturating_mul(2);
    let mut load = |name: &str, view: &View| {
        let place =
            opened.place(view, &mut budget).and_then(|place| match place.dtype.is_float() {
                true => Ok(place),
                false => Err("is not of floats, expected f32, f16, bf16 or f64".into()),
            });
        let place = place.map_err(|message| Error::tensor(path, name, message))?;
        Ok(upcast(place.data(bytes)))
    };
    match opened.parsed.content().map_err(|message| Error::file(path, message))? {
        Content::Bare(view) => load("(the only one)", &view).map(TorchFile::Bare),
        Content::Named(views) => {
            let named = views.into_iter().map(|(name, view)| Ok((name.into(), load(name, &view)?)));
            named.collect::<Result<_>>().map(TorchFile::Named)
        }
    }
}

/// Where the tensors of a model are in the bytes of a file: those of `torch.save(model.state_dict(), ...)`, or of the
/// dict in which a training script saved them beside other things. No values are read, and checksums only if they are
/// to be verified.
///
/// # Errors
///
/// As for [`read`], but that tensors may be of other types, and what is not a tensor is left out.
pub fn state(bytes: &[u8], path: &Path, verify: bool) -> Result<BTreeMap<String, Place>> {
    /// T5 has four names for its embedding, which may be nearly all of the file.
    const NAMES: usize = 4;
    let opened = Opened::new(bytes, verify).map_err(|message| Error::file(path, message))?;
    let views = opened.parsed.state().map_err(|message| Error::file(path, message))?;
    let mut budget = bytes.len().saturating_mul(NAMES);
    let mut places = BTreeMap::new();
    for (name, view) in views {
        let place = opened.place(&view, &mut budget);
        let place = place.map_err(|message| Error::tensor(path, name, message))?;
        places.insert(name.to_string(), place);
    }
    Ok(places)
}

/// A file whose pickle was read.
struct Opened<'a> {
    program: &'a [u8],
    parsed: Parsed<'a>,
    storages: Storages<'a>,
}

impl<'a> Opened<'a> {
    fn new(file: &'a [u8], verify: bool) -> archive::Result<Self> {
        if legacy::is_legacy(file) {
            let (program, parsed, storages) = legacy::open(file)?;
            return Ok(Self { program, parsed, storages });
        }
        if !file.starts_with(b"PK") {
            let message = "was not written by torch.save: expected a zip archive";
            return Err(match instead(file) {
                Some(what) => format!("{message}, found {what}"),
                None => message.into(),
            });
        }
        let archive = Archive::open(file, verify)?;
        let mut programs = archive.entries().filter_map(|(name, _)| name.strip_suffix("/data.pkl"));
        let (Some(root), None) = (programs.next(), programs.next()) else {
            return Err("is a zip archive, but torch.save did not write it: expected exactly one \
                        `data.pkl` in a folder"
                .into());
        };
        if archive.get(&format!("{root}/byteorder")).is_some_and(|order| order != b"little") {
            return Err("was written on a big-endian machine, which is not supported".into());
        }
        let program = archive.get(&format!("{root}/data.pkl")).unwrap_or_default();
        let folder = format!("{root}/data/");
        let storage = |(name, range): (&'a str, &Range<usize>)| {
            Some((name.strip_prefix(&folder)?, range.clone()))
        };
        let storages = archive.entries().filter_map(storage).collect();
        Ok(Self { program, parsed: content::read(program)?, storages })
    }

    fn place(&self, view: &View, budget: &mut usize) -> archive::Result<Place> {
        let key = view.storage.key(self.program)?;
        let stored = self.storages.get(key);
        let stored =
            stored.ok_or_else(|| format!("its storage {} is not in the file", quoted(key)))?;
        Place::new(view, stored, budget)
    }
}
