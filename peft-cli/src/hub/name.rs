//! The name of a repository, `org/name` or `org/name@revision`, and its spelling in paths and URLs.

use std::{fmt, fs, path::Path};

/// The branch meant if none is named.
const MAIN: &str = "main";

/// A model repository of the Hub at a revision: a branch, a tag, or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoName {
    id: String,
    revision: Option<String>,
}

impl RepoName {
    /// Reads `org/name` or `org/name@revision`; `None` for anything else.
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
        let spelled = |revision: &str| match is_commit(revision) {
            true => revision.to_ascii_lowercase(),
            false => revision.to_string(),
        };
        valid.then(|| Self { id: id.to_string(), revision: revision.map(spelled) })
    }

    /// Reads `name` or `name@revision`, without an organisation, as the oldest models were called.
    pub fn parse_short(text: &str) -> Option<Self> {
        /// Any one: the rules are those of a name with an organisation.
        const ANY: &str = "org/";
        let name = Self::parse(&format!("{ANY}{text}"))?;
        Some(Self { id: name.id.strip_prefix(ANY)?.to_string(), ..name })
    }

    /// `org/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The revision, `main` if none is named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    /// Its folder in the cache: `models--org--name`.
    pub fn cache_folder(&self) -> String {
        format!("models--{}", self.id.replace('/', "--"))
    }

    /// The name with an organisation that the folder `cache` has of a model, where this one has none: the first of several.
    pub fn with_organisation(&self, cache: &Path) -> Option<String> {
        let end = format!("--{}", self.id);
        let folders = fs::read_dir(cache).ok()?.flatten();
        let names = folders.filter_map(|folder| folder.file_name().into_string().ok());
        let org =
            |name: String| Some(name.strip_prefix("models--")?.strip_suffix(&end)?.to_string());
        let found = names.filter_map(org).map(|org| format!("{org}/{}", self.id));
        found.filter(|name| Self::parse(name).is_some()).min()
    }

    /// The path of the request for a revision's list of files.
    pub fn listing_path(&self, revision: &str) -> String {
        format!("api/models/{}/revision/{}", self.id, escaped(revision))
    }

    /// The path of a file at a revision.
    pub fn file_path(&self, revision: &str, file: &str) -> String {
        format!("{}/resolve/{}/{file}", self.id, escaped(revision))
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

/// Whether this is a full commit hash, which never changes its meaning.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a commit, an ETag or a part of a path can be the name of a file in the cache.
pub fn is_file_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(allowed)
}

/// Whether a shard can be a file in a folder of the cache or below it.
pub fn is_path(path: &str) -> bool {
    path.split('/').all(is_file_name)
}

/// A revision as one segment of a URL's path. [`is_revision`] allows no other character that needs escaping.
fn escaped(revision: &str) -> String {
    revision.replace('/', "%2F")
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

/// Whether a revision is safe as part of a path and of a URL.
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
    fn names_follow_the_rules_of_the_hub() {
        let name = RepoName::parse("openai-community/gpt2").unwrap();
        assert_eq!((name.id(), name.revision()), ("openai-community/gpt2", "main"));
        let name = RepoName::parse("a/b.c_d@refs/pr/1").unwrap();
        assert_eq!((name.id(), name.revision()), ("a/b.c_d", "refs/pr/1"));
        assert_eq!(name.to_string(), "a/b.c_d@refs/pr/1");
        assert_eq!(name.cache_folder(), "models--a--b.c_d");
        assert_eq!(name.listing_path("refs/pr/1"), "api/models/a/b.c_d/revision/refs%2Fpr%2F1");
        let commit = RepoName::parse(&format!("a/b@{}", "AB".repeat(20))).unwrap();
        assert_eq!(commit.revision(), "ab".repeat(20), "as the cache has it");
        assert_eq!(name.file_path("main", "x.json"), "a/b.c_d/resolve/main/x.json");
        let short = RepoName::parse_short("bert-base-uncased@main").unwrap();
        assert_eq!((short.id(), short.revision()), ("bert-base-uncased", "main"));
        assert_eq!(short.cache_folder(), "models--bert-base-uncased");
        assert_eq!(RepoName::parse_short("a/b"), None);
        let cache = tempfile::tempdir().unwrap();
        for folder in
            ["models--b--x", "models--a--x", "models--x", "models--a--b--x", "datasets--0--x"]
        {
            fs::create_dir(cache.path().join(folder)).unwrap();
        }
        let with = |name| RepoName::parse_short(name).unwrap().with_organisation(cache.path());
        assert_eq!((with("x@v1").as_deref(), with("y")), (Some("a/x"), None));
        for bad in [
            "", "gpt2", "./a/b", "../b", "a/../b", "a/b/c", "/a/b", "a/b/", "~/b", "a/-b", "a/b.",
            "a--b/c", "a/b..c", "a/b.git", "a/b c", "a/é", "a\\b", "a/b@", "a/b@../x", "a/b@/x",
            "a/b@x y",
        ] {
            assert_eq!(RepoName::parse(bad), None, "{bad}");
        }
    }
}
