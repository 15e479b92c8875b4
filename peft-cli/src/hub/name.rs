//! The name of a repository: `org/name`, or `org/name@revision`.

use std::fmt;

use hf_hub::{Repo, RepoType};

/// The branch that is meant where none is named.
const MAIN: &str = "main";

/// A repository of the Hub at a revision: a branch, a tag, or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoName {
    id: String,
    revision: Option<String>,
}

impl RepoName {
    /// Reads `org/name` or `org/name@revision`; nothing else is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, revision) = match text.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (text, None),
        };
        let (org, name) = id.split_once('/')?;
        let valid = is_part(org)
            && is_part(name)
            && id.len() <= 96
            && !id.ends_with(".git")
            && revision.is_none_or(is_revision);
        valid.then(|| Self { id: id.to_string(), revision: revision.map(str::to_string) })
    }

    /// `org/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The revision, `main` where none is named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    /// As hf-hub has it, at a revision.
    pub fn at(&self, revision: &str) -> Repo {
        Repo::with_revision(self.id.clone(), RepoType::Model, revision.to_string())
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.revision {
            Some(revision) => write!(f, "{}@{revision}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

/// Whether this is a commit in full, which never changes.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The Hub's rule for the name of an organisation or a model.
fn is_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && edge(part.chars().next())
        && edge(part.chars().next_back())
        && !part.contains("--")
        && !part.contains("..")
}

/// It becomes a part of paths and of URLs.
fn is_revision(revision: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    !revision.is_empty()
        && revision.chars().all(allowed)
        && !revision.contains("..")
        && !revision.starts_with('/')
        && !revision.ends_with('/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_hub() {
        let name = RepoName::parse("openai-community/gpt2").unwrap();
        assert_eq!((name.id(), name.revision()), ("openai-community/gpt2", "main"));
        let name = RepoName::parse("a/b.c_d@refs/pr/1").unwrap();
        assert_eq!((name.id(), name.revision()), ("a/b.c_d", "refs/pr/1"));
        assert_eq!(name.to_string(), "a/b.c_d@refs/pr/1");
        assert_eq!(name.at("main").folder_name(), "models--a--b.c_d");
        for bad in [
            "", "gpt2", "./a/b", "../b", "a/../b", "a/b/c", "/a/b", "a/b/", "~/b", "a/-b", "a/b.",
            "a--b/c", "a/b..c", "a/b.git", "a/b c", "a/é", "a\\b", "a/b@", "a/b@../x", "a/b@/x",
            "a/b@x y",
        ] {
            assert_eq!(RepoName::parse(bad), None, "{bad}");
        }
    }
}
