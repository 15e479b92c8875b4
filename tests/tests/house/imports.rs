//! No circles of imports within a crate.
//!
//! A file imports another where it uses a name that the other defines, however many re-exports lie between.
//! A parent and its own child may import one another.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CRATES, sources,
    tree::{Found, Tree},
};

/// Which file imports which, and by what names.
pub type Imports = BTreeMap<(String, String), BTreeSet<String>>;

/// The imports of a crate.
pub fn imports(tree: &Tree) -> Imports {
    let mut imports = Imports::new();
    for (index, module) in tree.modules.iter().enumerate() {
        for (name, found) in tree.taken(index) {
            let to = match found {
                Found::Item(to) => &tree.modules[to].file,
                // Only a folder's name; what is taken from the folder counts on its own.
                Found::Module(to) if is_index(&tree.modules[to].file) => continue,
                Found::Module(to) => &tree.modules[to].file,
            };
            if *to != module.file {
                imports.entry((module.file.clone(), to.clone())).or_default().insert(name);
            }
        }
    }
    imports
}

fn is_index(file: &str) -> bool {
    file == "lib.rs" || file.ends_with("mod.rs")
}

/// The sets of files, each in alphabetical order, that import one another in circles.
fn circles(tree: &Tree, imports: &Imports) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in imports.keys() {
        if !tree.are_parent_and_child(from, to) {
            next.entry(from).or_default().push(to);
        }
    }
    let reached = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut ahead = next.get(from).cloned().unwrap_or_default();
        while let Some(file) = ahead.pop() {
            if reached.insert(file) {
                ahead.extend(next.get(file).into_iter().flatten());
            }
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|file| (*file, reached(file))).collect();
    let circle_of = |file: &str| -> Vec<String> {
        let back = |other: &&&str| reached.get(**other).is_some_and(|found| found.contains(file));
        reached[file].iter().filter(back).map(|other| other.to_string()).collect()
    };
    let circles: BTreeSet<Vec<String>> = next.keys().map(|file| circle_of(file)).collect();
    circles.into_iter().filter(|circle| !circle.is_empty()).collect()
}

/// The imports that make a circle, one per line: `file -> file: names`.
fn shown(circle: &[String], tree: &Tree, imports: &Imports) -> String {
    let inside = |file: &String| circle.contains(file);
    imports
        .iter()
        .filter(|((from, to), _)| {
            inside(from) && inside(to) && !tree.are_parent_and_child(from, to)
        })
        .map(|((from, to), names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("  {from} -> {to}: {}\n", names.join(", "))
        })
        .collect()
}

#[test]
fn no_files_import_one_another_in_a_circle() {
    let mut wrong = String::new();
    for krate in CRATES {
        let tree = Tree::read(&sources(krate));
        let imports = imports(&tree);
        println!("{krate}: {} imports between files", imports.len());
        let circles = circles(&tree, &imports);
        for circle in &circles {
            wrong += &format!("{krate}: {}\n{}", circle.join(", "), shown(circle, &tree, &imports));
        }
    }
    assert!(wrong.is_empty(), "circles of imports:\n{wrong}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(file, text)| (file.to_string(), text.to_string()));
        let tree = Tree::read(&files.collect());
        let imports = imports(&tree);
        let circles = circles(&tree, &imports);
        circles.iter().map(|circle| shown(circle, &tree, &imports)).collect()
    }

    #[test]
    fn a_circle_is_told_with_its_names() {
        let files = [
            ("lib.rs", "pub mod a; pub mod b; pub mod c; pub use b::B;"),
            ("a.rs", "use crate::{B, b::f}; pub struct A;"),
            ("b.rs", "pub struct B(crate::c::C); pub fn f() {}"),
            ("c.rs", "use super::a::A as Other; pub struct C;"),
        ];
        let expected = "  a.rs -> b.rs: B, f\n  b.rs -> c.rs: C\n  c.rs -> a.rs: A\n";
        assert_eq!(found(&files), [expected]);
    }

    #[test]
    fn re_exports_and_modules_named_by_use_lead_on() {
        let files = [
            ("lib.rs", "mod a; mod m;"),
            ("a.rs", "use crate::m; pub fn a() { m::deep::f() }"),
            ("m/mod.rs", "mod x; pub mod deep { pub use super::x::f; }"),
            ("m/x.rs", "use crate::a::*; pub fn f() { a() }"),
        ];
        assert_eq!(found(&files), ["  a.rs -> m/x.rs: f\n  m/x.rs -> a.rs: a\n"]);
    }

    #[test]
    fn parents_with_children_tests_and_comments_are_no_circles() {
        let files = [
            ("lib.rs", "mod a; mod b; use a::A;"),
            ("a.rs", "mod x; use x::X; pub struct A; /// [`crate::b::B`]\nfn f() {}"),
            ("a/x.rs", "use super::A; use crate::a; pub struct X(a::A);"),
            ("b.rs", "use crate::a::A; pub struct B; #[cfg(test)] mod tests { use crate::a::x; }"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
