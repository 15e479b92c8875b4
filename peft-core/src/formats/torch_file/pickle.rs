//! The pickle in a torch archive: a small stack machine that knows only tensors and dicts of them.
//!
//! A pickle is a program. This one is parsed, not run: it may name the few functions of [`Global`],
//! which here only describe a tensor; anything else is rejected by name. Objects are in one flat
//! list and refer to each other by index, so reading, comparing and dropping them never recurses,
//! and each opcode adds at most one.
//!
//! Opcodes: <https://github.com/python/cpython/blob/3.13/Lib/pickletools.py>, of which torch.save
//! writes those of protocol 2 that are matched in [`Machine::step`].

use std::{collections::HashMap, ops::Range, rc::Rc};

use super::{
    archive::Result,
    foreign::way_out,
    objects::{Global, Storage, View, whole},
};

/// The index of an object in [`Machine::objects`].
pub(super) type Id = usize;

/// What a pickle makes.
#[derive(Clone, Debug)]
pub(super) enum Object {
    /// `None`, booleans and floats, which are not needed.
    Other,
    Int(i64),
    /// Position of the text in the pickle.
    Text(Range<usize>),
    Global(Global),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Storage(Storage),
    Tensor(Rc<View>),
}

/// The machine, and after [`run`](Machine::run) what it has made.
#[derive(Debug, Default)]
pub(super) struct Machine<'a> {
    pub(super) pickle: &'a [u8],
    /// The number of bytes that were read.
    pub(super) at: usize,
    pub(super) objects: Vec<Object>,
    pub(super) stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    /// Executes the pickle at the beginning of `pickle`.
    pub(super) fn run(pickle: &'a [u8]) -> Result<Self> {
        let mut machine = Self { pickle, ..Self::default() };
        while !machine.step()? {}
        Ok(machine)
    }

    /// Executes an opcode; returns `true` at the last.
    fn step(&mut self) -> Result<bool> {
        match self.byte()? {
            // PROTO
            0x80 => match self.byte()? {
                2 => {}
                other => {
                    return Err(format!(
                        "found a pickle of protocol {other}, expected 2, which torch.save writes by itself: write it again \
                         in Python, without pickle_protocol"
                    ));
                }
            },
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.push(Object::Other),
            // BINFLOAT
            b'G' => {
                self.take(8)?;
                self.push(Object::Other);
            }
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            b'J' => {
                let number = self.number(4)?;
                self.push(Object::Int(i64::from(number as u32 as i32)));
            }
            // LONG1
            0x8a => match self.byte()?.into() {
                len @ ..=8 => {
                    let number = self.signed(len)?;
                    self.push(Object::Int(number));
                }
                // A seed, or the like: no size of a tensor.
                len => {
                    self.take(len)?;
                    self.push(Object::Other);
                }
            },
            // BINUNICODE and, from Python 2, BINSTRING and SHORT_BINSTRING
            b'X' | b'T' => self.string(4)?,
            b'U' => self.string(1)?,
            b'c' => {
                let global = self.global()?;
                self.push(Object::Global(global));
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b')' => self.push(Object::Tuple(Vec::new())),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Tuple(items));
            }
            b']' => self.push(Object::List(Vec::new())),
            // APPEND, APPENDS
            b'a' => {
                let item = self.pop()?;
                self.top_list()?.push(item);
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.top_list()?.extend(items);
            }
            b'}' => self.push(Object::Dict(Vec::new())),
            // SETITEM, SETITEMS
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            // BUILD: attributes of a dict, such as the `_metadata` of a module's state.
            b'b' => {
                self.pop()?;
                self.top_dict("attributes for")?;
            }
            // BINPERSID
            b'Q' => self.storage()?,
            // REDUCE
            b'R' => self.reduce()?,
            b'.' => return Ok(true),
            other => {
                return Err(format!(
                    "found the pickle opcode 0x{other:02x} at byte {}, which torch.save does not \
                     write for tensors: expected a dict of tensors, or one tensor",
                    self.at - 1
                ));
            }
        }
        Ok(false)
    }

    fn take(&mut self, len: usize) -> Result<Range<usize>> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.pickle.len());
        let end = end.ok_or("its pickle is truncated")?;
        Ok(std::mem::replace(&mut self.at, end)..end)
    }

    fn byte(&mut self) -> Result<u8> {
        let range = self.take(1)?;
        Ok(self.pickle[range.start])
    }

    /// A little-endian unsigned integer of at most 8 bytes.
    fn number(&mut self, len: usize) -> Result<u64> {
        let range = self.take(len)?;
        let bytes = self.pickle[range].iter().rev();
        Ok(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A little-endian signed integer of at most 8 bytes.
    fn signed(&mut self, len: usize) -> Result<i64> {
        if len == 0 {
            return Ok(0);
        }
        let unused = 64 - 8 * len as u32;
        // The sign is the highest bit of the bytes read.
        Ok(((self.number(len)? << unused) as i64) >> unused)
    }

    fn text(&self, range: &Range<usize>) -> Result<&'a str> {
        std::str::from_utf8(&self.pickle[range.clone()])
            .map_err(|_| "found text in its pickle that is not UTF-8".to_string())
    }

    /// The text of an object; `None` if it is none.
    pub(super) fn name(&self, id: Id) -> Result<Option<&'a str>> {
        match &self.objects[id] {
            Object::Text(range) => self.text(range).map(Some),
            _ => Ok(None),
        }
    }

    /// A text after its length in `len` bytes.
    fn string(&mut self, len: usize) -> Result<()> {
        let len = self.number(len)? as usize;
        let range = self.take(len)?;
        self.text(&range)?;
        self.push(Object::Text(range));
        Ok(())
    }

    fn push(&mut self, object: Object) {
        self.stack.push(self.objects.len());
        self.objects.push(object);
    }

    fn integer(&mut self, len: usize) -> Result<()> {
        let number = self.number(len)?;
        self.push(Object::Int(number as i64));
        Ok(())
    }

    /// The lowest height down to which the stack may be popped: that of the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>> {
        match self.stack.len().checked_sub(count).filter(|start| *start >= self.floor()) {
            Some(start) => Ok(self.stack.split_off(start)),
            None => Err("its pickle pops more from the stack than there is".into()),
        }
    }

    fn pop(&mut self) -> Result<Id> {
        Ok(self.pop_many(1)?[0])
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let start = self.marks.pop().ok_or("its pickle has no mark where one is needed")?;
        Ok(self.stack.split_off(start.min(self.stack.len())))
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let items = self.pop_many(count)?;
        self.push(Object::Tuple(items));
        Ok(())
    }

    fn remember(&mut self, len: usize) -> Result<()> {
        let slot = self.number(len)? as usize;
        let top = self.stack.last().ok_or("its pickle memoizes something that is not there")?;
        self.memo.insert(slot, *top);
        Ok(())
    }

    fn recall(&mut self, len: usize) -> Result<()> {
        let slot = self.number(len)? as usize;
        let id =
            self.memo.get(&slot).ok_or("its pickle recalls something that was not memoized")?;
        self.stack.push(*id);
        Ok(())
    }

    /// Returns the dict that is on top of the stack.
    fn top_dict(&mut self, what: &str) -> Result<&mut Vec<(Id, Id)>> {
        let top = self.stack.get(self.floor()..).and_then(<[Id]>::last);
        match top.map(|id| &mut self.objects[*id]) {
            Some(Object::Dict(items)) => Ok(items),
            _ => Err(format!("its pickle has {what} something that is not a dict")),
        }
    }

    /// Returns the list that is on top of the stack.
    fn top_list(&mut self) -> Result<&mut Vec<Id>> {
        let top = self.stack.get(self.floor()..).and_then(<[Id]>::last);
        match top.map(|id| &mut self.objects[*id]) {
            Some(Object::List(items)) => Ok(items),
            _ => Err("its pickle appends to something that is not a list".into()),
        }
    }

    fn set_items(&mut self, items: &[Id]) -> Result<()> {
        if items.len() % 2 == 1 {
            return Err("its pickle has a key without a value".into());
        }
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        self.top_dict("items for")?.extend(pairs);
        Ok(())
    }

    /// A line of the pickle, without its end.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.pickle[self.at..];
        let len = rest.iter().position(|byte| *byte == b'\n').ok_or("its pickle is truncated")?;
        let range = self.take(len + 1)?;
        self.text(&(range.start..range.end - 1))
    }

    fn global(&mut self) -> Result<Global> {
        let at = self.at - 1;
        let (module, name) = (self.line()?, self.line()?);
        Global::named(module, name)
            .map_err(|refusal| format!("{refusal}. {}", way_out(self.pickle, module, at)))
    }

    /// `('storage', type, key, device, count)`; before 1.6 also `None`, or a view of 0.3 and before.
    fn storage(&mut self) -> Result<()> {
        let top = self.pop()?;
        let Object::Tuple(items) = &self.objects[top] else {
            return Err("its pickle names a storage by something that is not a tuple".into());
        };
        let storage = match items.iter().map(|id| &self.objects[*id]).collect::<Vec<_>>()[..] {
            [
                Object::Text(kind),
                Object::Global(Global::Storage(dtype)),
                Object::Text(key),
                Object::Text(_),
                Object::Int(numel),
                ref rest @ ..,
            ] if matches!(rest, [] | [Object::Other]) && self.text(kind)? == "storage" => {
                Storage { dtype: *dtype, key: key.clone(), numel: whole(*numel, "storage size")? }
            }
            _ => return Err("its pickle has a storage that torch.save does not write".into()),
        };
        self.push(Object::Storage(storage));
        Ok(())
    }

    fn reduce(&mut self) -> Result<()> {
        let called = self.pop_many(2)?;
        let (Object::Global(function), Object::Tuple(args)) =
            (&self.objects[called[0]], &self.objects[called[1]])
        else {
            return Err("its pickle calls something that is not a function".into());
        };
        let made = match (function, &args[..]) {
            (Global::OrderedDict, []) => Object::Dict(Vec::new()),
            (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                match (&self.objects[*storage], &self.objects[*offset]) {
                    (Object::Storage(storage), Object::Int(offset)) => {
                        Object::Tensor(Rc::new(View {
                            storage: storage.clone(),
                            offset: whole(*offset, "offset")?,
                            shape: self.sizes(*shape, "size")?,
                            strides: self.sizes(*strides, "stride")?,
                        }))
                    }
                    _ => return Err("its pickle has a tensor without a storage".into()),
                }
            }
            (Global::RebuildParameter, [tensor, _, _, ..]) => {
                // The same object: a parameter is its tensor.
                let tensor = *tensor;
                if !matches!(self.objects[tensor], Object::Tensor(_)) {
                    return Err("its pickle has a parameter without a tensor".into());
                }
                self.stack.push(tensor);
                return Ok(());
            }
            _ => return Err("its pickle calls a function with arguments unlike torch's".into()),
        };
        self.push(made);
        Ok(())
    }

    fn sizes(&self, tuple: Id, what: &str) -> Result<Vec<usize>> {
        /// No tensor of a head has more dimensions, and one tuple can be recalled for any number of
        /// tensors.
        const MOST: usize = 8;
        let Object::Tuple(items) = &self.objects[tuple] else {
            return Err(format!("its pickle has a {what} that is not a tuple"));
        };
        if items.len() > MOST {
            return Err(format!("a tensor has {} sizes, expected at most {MOST}", items.len()));
        }
        let size = |id: &Id| match &self.objects[*id] {
            Object::Int(number) => whole(*number, what),
            _ => Err(format!("its pickle has a {what} that is not a whole number")),
        };
        items.iter().map(size).collect()
    }
}
