//! What is read out of a pickle: a tensor, tensors by name, storages, a list of names.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{
    archive::{Result, quoted},
    objects::View,
    pickle::{Id, Machine, Object},
};

/// The content of a pickle.
#[derive(Debug)]
pub enum Content<'a> {
    /// One tensor.
    Bare(Rc<View>),
    /// A dict of tensors; of a repeated name, the last.
    Named(BTreeMap<&'a str, Rc<View>>),
}

/// A pickle that was read.
#[derive(Debug)]
pub struct Parsed<'a> {
    machine: Machine<'a>,
}

/// Reads the pickle at the beginning of `pickle`.
pub fn read(pickle: &[u8]) -> Result<Parsed<'_>> {
    Ok(Parsed { machine: Machine::run(pickle)? })
}

impl<'a> Parsed<'a> {
    /// The number of its bytes.
    pub fn len(&self) -> usize {
        self.machine.at
    }

    fn top(&self) -> Result<&Object> {
        let top = self.machine.stack.last().ok_or("its pickle is empty")?;
        Ok(&self.machine.objects[*top])
    }

    /// A tensor or a dict of nothing but tensors.
    pub fn content(&self) -> Result<Content<'a>> {
        match self.top()? {
            Object::Tensor(view) => Ok(Content::Bare(view.clone())),
            Object::Dict(items) => {
                let item = |(key, value): &(Id, Id)| {
                    let Some(key) = self.machine.name(*key)? else {
                        return Err("it holds a dict whose keys are not names".to_string());
                    };
                    match &self.machine.objects[*value] {
                        Object::Tensor(view) => Ok((key, view.clone())),
                        _ => Err(format!("its key {} holds no tensor", quoted(key))),
                    }
                };
                items.iter().map(item).collect::<Result<_>>().map(Content::Named)
            }
            _ => Err("it holds neither a tensor nor a dict of tensors".into()),
        }
    }

    /// The tensors of a model: of the dict, or of the one that a training script put under one of
    /// the usual names beside other things. What is not a tensor is left out.
    pub fn state(&self) -> Result<BTreeMap<&'a str, Rc<View>>> {
        /// Under which names training scripts save the state of a model.
        const NESTED: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];
        /// A dict may hold itself.
        const DEEPEST: usize = 4;
        let mut at = self.top()?;
        for _ in 0..DEEPEST {
            let Object::Dict(items) = at else { break };
            let mut inner = None;
            let mut tensors = BTreeMap::new();
            for (key, value) in items {
                let Some(key) = self.machine.name(*key)? else { continue };
                match &self.machine.objects[*value] {
                    Object::Tensor(view) => _ = tensors.insert(key, view.clone()),
                    dict @ Object::Dict(_) if NESTED.contains(&key) => inner = Some(dict),
                    _ => {}
                }
            }
            match inner {
                Some(dict) => at = dict,
                None if tensors.is_empty() => break,
                None => return Ok(tensors),
            }
        }
        Err("it holds no dict of tensors: write one in Python, by torch.save(model.state_dict(), FILE)"
            .into())
    }

    /// The size of a value in each storage that it refers to, by the storage's name.
    pub fn storages(&self) -> Result<HashMap<&'a str, usize>> {
        let storages = self.machine.objects.iter().filter_map(|object| match object {
            Object::Storage(storage) => Some(storage),
            _ => None,
        });
        storages
            .map(|storage| Ok((storage.key(self.machine.pickle)?, storage.dtype.size())))
            .collect()
    }

    /// A list of names.
    pub fn names(&self) -> Result<Vec<&'a str>> {
        let Object::List(items) = self.top()? else {
            return Err("it has no list of its storages".into());
        };
        let name = |id: &Id| {
            let name = self.machine.name(*id)?;
            name.ok_or_else(|| "its list of storages holds something else than names".to_string())
        };
        items.iter().map(name).collect()
    }
}
