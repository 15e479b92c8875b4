//! The modules of a crate, read from their sources, and the file that defines a name.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Sources,
    lexer::{Placed, Token, closing, code},
};

/// A module outside the crate's tests.
#[derive(Debug, Default)]
pub struct Module {
    /// Where its body stands; an inline module shares the file of the one around it.
    pub file: String,
    /// The folder of its children, with a `/` at its end; empty for `src`.
    dir: String,
    parent: usize,
    /// Its children, by name.
    pub children: BTreeMap<String, usize>,
    /// What is defined here.
    items: BTreeSet<String>,
    /// What `use` brings here.
    pub uses: Vec<Use>,
    /// Other paths of at least two segments.
    pub paths: Vec<Vec<String>>,
    /// All words, for what a glob may have brought here.
    words: BTreeSet<String>,
}

/// One name of a `use` declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The whole path, without `self` at its end.
    pub path: Vec<String>,
    /// What it is called here; `None` for a glob.
    name: Option<String>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Module(usize),
    /// Something defined in this module.
    Item(usize),
}

/// The modules of a crate; the first is its root.
#[derive(Debug)]
pub struct Tree {
    pub modules: Vec<Module>,
}

impl Tree {
    /// Reads `lib.rs` and every module that it leads to.
    pub fn read(sources: &Sources) -> Self {
        let mut tree = Self { modules: Vec::new() };
        tree.add_file(sources, "lib.rs", 0);
        tree
    }

    fn add_file(&mut self, sources: &Sources, file: &str, parent: usize) -> usize {
        let (folder, name) = file.rsplit_once('/').map_or(("", file), |(dir, name)| (dir, name));
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let dir = match name {
            "lib.rs" | "mod.rs" => folder,
            _ => format!("{folder}{}/", name.trim_end_matches(".rs")),
        };
        let index = self.add(Module { file: file.to_string(), dir, parent, ..Module::default() });
        self.fill(sources, index, &code(&sources[file]));
        index
    }

    fn add(&mut self, module: Module) -> usize {
        self.modules.push(module);
        self.modules.len() - 1
    }

    /// Reads the body of a module.
    fn fill(&mut self, sources: &Sources, index: usize, tokens: &[Placed]) {
        let word = |at: usize| tokens.get(at).and_then(Placed::word);
        let is = |at: usize, mark: char| tokens.get(at).is_some_and(|placed| placed.is(mark));
        let (mut at, mut depth) = (0, 0usize);
        while at < tokens.len() {
            match &tokens[at].token {
                Token::Mark('(' | '[' | '{') => depth += 1,
                Token::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
                Token::Word(found) => match (found.as_str(), word(at + 1)) {
                    ("mod", Some(name)) if depth == 0 && is(at + 2, ';') => {
                        let child = self.add_child_file(sources, index, name);
                        self.modules[index].children.insert(name.to_string(), child);
                        at += 2;
                    }
                    ("mod", Some(name)) if depth == 0 && is(at + 2, '{') => {
                        let end = closing(tokens, at + 2);
                        let child = self.add_inline(index, name);
                        self.fill(sources, child, &tokens[at + 3..end]);
                        at = end;
                    }
                    ("use", next) if next.is_some() || is(at + 1, '{') || is(at + 1, ':') => {
                        let mut uses = Vec::new();
                        at = read_use(tokens, at + 1, &[], &mut uses);
                        self.modules[index].uses.extend(uses);
                    }
                    // `pub(in a::b)` is no path that anything is taken from.
                    ("pub", _) if is(at + 1, '(') => at = closing(tokens, at + 1),
                    ("macro_rules", _) if is(at + 1, '!') => {
                        let name = word(at + 2).unwrap_or_default();
                        self.modules[index].items.insert(name.to_string());
                    }
                    (keyword, Some(name)) if depth == 0 && DEFINES.contains(&keyword) => {
                        self.modules[index].items.insert(name.to_string());
                    }
                    _ => at = self.read_path(index, tokens, at),
                },
                _ => {}
            }
            at += 1;
        }
    }

    fn add_child_file(&mut self, sources: &Sources, parent: usize, name: &str) -> usize {
        let dir = &self.modules[parent].dir;
        let candidates = [format!("{dir}{name}.rs"), format!("{dir}{name}/mod.rs")];
        let file = candidates.iter().find(|file| sources.contains_key(*file));
        let declared = &self.modules[parent].file;
        let file =
            file.unwrap_or_else(|| panic!("{declared} declares `{name}`: no {candidates:?}"));
        self.add_file(sources, file, parent)
    }

    fn add_inline(&mut self, parent: usize, name: &str) -> usize {
        let Module { file, dir, .. } = &self.modules[parent];
        let (file, dir) = (file.clone(), format!("{dir}{name}/"));
        let child = self.add(Module { file, dir, parent, ..Module::default() });
        self.modules[parent].children.insert(name.to_string(), child);
        child
    }

    /// Notes the path that begins at a word, and gives its last token.
    fn read_path(&mut self, index: usize, tokens: &[Placed], start: usize) -> usize {
        let word = |at: usize| tokens.get(at).and_then(Placed::word).map(str::to_string);
        let is = |at: usize, mark: char| tokens.get(at).is_some_and(|placed| placed.is(mark));
        let is_separator = |at: usize| is(at, ':') && is(at + 1, ':');
        let mut path: Vec<String> = word(start).into_iter().collect();
        let mut last = start;
        while is_separator(last + 1)
            && let Some(segment) = word(last + 3)
        {
            path.push(segment);
            last += 3;
        }
        // Behind a dot stands a method or a field, behind `::` the rest of a path such as `<T>::new`.
        let behind = |mark: char| start >= 1 && is(start - 1, mark);
        let behind_two = |mark: char| behind(mark) && start >= 2 && is(start - 2, mark);
        if !(behind('.') && !behind_two('.') || behind_two(':')) {
            let module = &mut self.modules[index];
            module.words.extend(path.first().cloned());
            module.paths.extend((path.len() > 1).then_some(path));
        }
        last
    }

    /// What a path leads to, seen from a module; `None` for what is not of this crate.
    pub fn resolve(&self, from: usize, path: &[String]) -> Option<Found> {
        self.resolve_beyond(from, path, &mut BTreeSet::new())
    }

    fn resolve_beyond(
        &self,
        from: usize,
        path: &[String],
        seen: &mut BTreeSet<(usize, String)>,
    ) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let mut found = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(from),
            "super" => Found::Module(self.modules[from].parent),
            name => self.lookup(from, name, seen)?,
        };
        for segment in rest {
            let Found::Module(module) = found else { return Some(found) };
            found = match segment.as_str() {
                "super" => Found::Module(self.modules[module].parent),
                // A name that a macro makes counts for the module where it is looked for.
                name => self.lookup(module, name, seen).unwrap_or(Found::Item(module)),
            };
        }
        Some(found)
    }

    /// A name in a module: its child, its item, or what it re-exports.
    fn lookup(
        &self,
        module: usize,
        name: &str,
        seen: &mut BTreeSet<(usize, String)>,
    ) -> Option<Found> {
        if !seen.insert((module, name.to_string())) {
            return None;
        }
        let Module { children, items, uses, .. } = &self.modules[module];
        if let Some(child) = children.get(name) {
            return Some(Found::Module(*child));
        }
        if items.contains(name) {
            return Some(Found::Item(module));
        }
        if let Some(named) = uses.iter().find(|one| one.name.as_deref() == Some(name)) {
            return self.resolve_beyond(module, &named.path, seen);
        }
        uses.iter().filter(|one| one.name.is_none()).find_map(|glob| {
            match self.resolve_beyond(module, &glob.path, seen)? {
                Found::Module(target) => self.lookup(target, name, seen),
                Found::Item(_) => None,
            }
        })
    }

    /// What a module takes from this crate: the name it takes it by, and where that leads.
    pub fn taken(&self, index: usize) -> Vec<(String, Found)> {
        let module = &self.modules[index];
        let named = module.uses.iter().map(|one| &one.path).chain(&module.paths);
        let mut taken: Vec<(String, Found)> = named
            .filter_map(|path| {
                let found = self.resolve(index, path)?;
                // Of `Kind::First` only `Kind` is taken.
                let leads = |len: &usize| self.resolve(index, &path[..*len]) == Some(found);
                let len = (1..=path.len()).find(leads)?;
                Some((path[len - 1].clone(), found))
            })
            .collect();
        for glob in module.uses.iter().filter(|one| one.name.is_none()) {
            let Some(Found::Module(target)) = self.resolve(index, &glob.path) else { continue };
            for word in &module.words {
                let found = self.lookup(target, word, &mut BTreeSet::new());
                taken.extend(found.map(|found| (word.clone(), found)));
            }
        }
        taken
    }

    /// Whether one of two files holds the parent of a module in the other.
    pub fn are_parent_and_child(&self, a: &str, b: &str) -> bool {
        self.modules.iter().skip(1).any(|module| {
            let parent = &self.modules[module.parent].file;
            (parent == a && module.file == b) || (parent == b && module.file == a)
        })
    }
}

/// Keywords that a definition's name follows.
const DEFINES: [&str; 9] =
    ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mut"];

/// Reads a `use` tree that continues `prefix`; gives the token behind it: a semicolon, comma or bracket.
fn read_use(tokens: &[Placed], start: usize, prefix: &[String], found: &mut Vec<Use>) -> usize {
    let (mut path, mut alias) = (prefix.to_vec(), None);
    let (mut is_glob, mut is_group) = (false, false);
    let mut at = start;
    while at < tokens.len() {
        match &tokens[at].token {
            Token::Word(word) if word == "as" => {
                at += 1;
                alias = tokens.get(at).and_then(Placed::word).map(str::to_string);
            }
            Token::Word(word) if word == "self" && !path.is_empty() => {}
            Token::Word(word) => path.push(word.clone()),
            Token::Mark('*') => is_glob = true,
            Token::Mark('{') => {
                is_group = true;
                let end = closing(tokens, at);
                while at < end {
                    at = read_use(tokens, at + 1, &path, found);
                }
            }
            Token::Mark(':') => {}
            _ => break,
        }
        at += 1;
    }
    if at > start && !is_group {
        let name = (!is_glob).then(|| alias.or_else(|| path.last().cloned())).flatten();
        found.push(Use { path, name });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of these files.
    pub fn invented(files: &[(&str, &str)]) -> Tree {
        Tree::read(&files.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect())
    }

    /// The file that a path leads to, seen from a file.
    fn leads(tree: &Tree, from: &str, path: &str) -> Option<String> {
        let from = tree.modules.iter().position(|module| module.file == from).unwrap();
        let path: Vec<String> = path.split("::").map(str::to_string).collect();
        tree.resolve(from, &path).map(|found| match found {
            Found::Item(module) => tree.modules[module].file.clone(),
            Found::Module(module) => format!("mod {}", tree.modules[module].file),
        })
    }

    #[test]
    fn use_trees_are_read() {
        let tree = invented(&[(
            "lib.rs",
            "pub use a::{self, b::{C as D, *,}, r#type}; use ::e; use self::f as _; use {g::h, i};
            fn f() -> impl Sized + use<> {}",
        )]);
        let found: Vec<String> = tree.modules[0]
            .uses
            .iter()
            .map(|one| format!("{} {}", one.path.join("::"), one.name.as_deref().unwrap_or("*")))
            .collect();
        let expected =
            ["a a", "a::b::C D", "a::b *", "a::type type", "e e", "self::f _", "g::h h", "i i"];
        assert_eq!(found, expected);
    }

    #[test]
    fn modules_are_found_in_files_of_both_spellings() {
        let tree = invented(&[
            ("lib.rs", "mod a; mod b; mod c { mod d; } #[cfg(test)] mod tests;"),
            ("a.rs", "mod x;"),
            ("a/x.rs", ""),
            ("b/mod.rs", "pub(crate) mod y;"),
            ("b/y.rs", ""),
            ("c/d.rs", ""),
        ]);
        let files: Vec<&str> = tree.modules.iter().map(|module| module.file.as_str()).collect();
        assert_eq!(files, ["lib.rs", "a.rs", "a/x.rs", "b/mod.rs", "b/y.rs", "lib.rs", "c/d.rs"]);
        assert!(tree.are_parent_and_child("b/y.rs", "b/mod.rs"));
        assert!(!tree.are_parent_and_child("b/y.rs", "a.rs"));
    }

    #[test]
    fn names_lead_to_the_file_that_defines_them() {
        let tree = invented(&[
            ("lib.rs", "mod a; mod b; pub use a::{Deep as Renamed, *}; pub use b::*;"),
            ("a/mod.rs", "mod x; mod y; pub use x::Deep; pub use y::inner;"),
            ("a/x.rs", "pub struct Deep; pub trait T { fn method(); } make! { pub struct Made; }"),
            ("a/y.rs", "pub mod inner { pub fn g() {} } use super::x::T as Local;"),
            ("b.rs", "pub enum E { V } pub use crate::*;"),
        ]);
        for (from, path, expected) in [
            ("b.rs", "crate::Renamed", Some("a/x.rs")),
            ("b.rs", "crate::Renamed::new", Some("a/x.rs")),
            ("b.rs", "crate::a::Deep", Some("a/x.rs")),
            ("b.rs", "super::a::inner::g", Some("a/y.rs")),
            ("b.rs", "crate::E::V", Some("b.rs")),
            ("b.rs", "E::V", Some("b.rs")),
            ("b.rs", "crate::inner", Some("mod a/y.rs")),
            ("b.rs", "crate::a", Some("mod a/mod.rs")),
            ("a/y.rs", "Local::method", Some("a/x.rs")),
            ("a/y.rs", "super::super::b::E", Some("b.rs")),
            ("a/y.rs", "self::inner::g", Some("a/y.rs")),
            // What a macro defines.
            ("b.rs", "crate::a::x::Made", Some("a/x.rs")),
            ("b.rs", "std::fs::read", None),
            // Globs that go round end.
            ("b.rs", "Missing::new", None),
        ] {
            assert_eq!(leads(&tree, from, path).as_deref(), expected, "{from}: {path}");
        }
    }

    #[test]
    fn paths_are_read_in_expressions_and_macros() {
        let tree = invented(&[(
            "lib.rs",
            "pub(in crate::a::b) fn f() { x.crate_(); ::std::y::z(); let v = 0..m::n::<o::P>(); <Q>::r::s() }
            macro_rules! w { () => { $crate::k::l!() } } // crate::comment::c
            const S: &str = \"crate::text::t\";",
        )]);
        let paths: Vec<String> = tree.modules[0].paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, ["m::n", "o::P", "crate::k::l"]);
    }
}
