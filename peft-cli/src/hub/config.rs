//! Settings, from the environment variables that Python's `huggingface_hub` reads.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

use super::error::HubError;

const ENDPOINT: &str = "https://huggingface.co";

/// How to reach the Hub, and where to keep its files.
#[derive(Clone)]
pub struct HubConfig {
    /// `HF_ENDPOINT`, without a trailing slash.
    pub endpoint: String,
    /// The cache folder: `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else `hub` in `HF_HOME`. `HF_HOME` defaults to
    /// `~/.cache/huggingface`. `~` and `$NAME` in them are expanded, as there.
    pub cache: PathBuf,
    /// `HF_TOKEN`, else the content of the file `HF_TOKEN_PATH`, which defaults to `token` in `HF_HOME`.
    pub token: Option<String>,
    /// `SSL_CERT_FILE`: a file of certificates to trust instead of the built-in ones, for proxies that decrypt
    /// traffic.
    pub certificates: Option<PathBuf>,
    /// `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`: make no requests.
    pub offline: bool,
}

impl HubConfig {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// [`HubError::Setting`] if the endpoint is not a URL, or there is no folder for the cache.
    pub fn from_env() -> Result<Self, HubError> {
        Self::read(|variable| env::var_os(variable), env::home_dir())
    }

    fn read(
        variable: impl Fn(&str) -> Option<OsString>,
        user: Option<PathBuf>,
    ) -> Result<Self, HubError> {
        let path = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let text = |name: &str| path(name)?.to_str().map(|text| text.trim().to_string());
        let folder = |name: &str| Some(expanded(path(name)?, user.as_deref(), &variable));
        let home = folder("HF_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|dir| dir.join("huggingface")))
            .or_else(|| user.as_ref().map(|dir| dir.join(".cache/huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")));
        let Some(cache) = cache else {
            let message = "is not set, and there is no home folder for downloads".into();
            return Err(HubError::Setting { variable: "HF_HOME", message });
        };
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_string());
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            let message = format!("found {endpoint:?}, expected a URL such as {ENDPOINT}");
            return Err(HubError::Setting { variable: "HF_ENDPOINT", message });
        }
        let host = endpoint.split("://").nth(1).and_then(|rest| rest.split('/').next());
        if host.is_some_and(|host| host.contains('@')) {
            // Not said again: it would stand in logs.
            let message =
                "holds a user or a password, which is not sent: leave it out, and set HF_TOKEN"
                    .into();
            return Err(HubError::Setting { variable: "HF_ENDPOINT", message });
        }
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| {
                let default = || home.as_ref().map(|home| home.join("token"));
                token_in(&folder("HF_TOKEN_PATH").or_else(default)?)
            })
            .filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            let message = "contains characters that a token cannot have".into();
            return Err(HubError::Setting { variable: "HF_TOKEN", message });
        }
        let is_true = |name: &str| {
            text(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
            })
        };
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_string(),
            cache: std::path::absolute(&cache).unwrap_or(cache),
            token,
            certificates: path("SSL_CERT_FILE"),
            offline: is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
        })
    }
}

/// Hides the token.
impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("certificates", &self.certificates)
            .field("offline", &self.offline)
            .finish()
    }
}

/// A path whose `~` is the user's folder and whose `$NAME` and `${NAME}` are variables, as Python's `expanduser` and
/// `expandvars` have them, which `huggingface_hub` applies to the variables of its folders. What is unknown stays.
fn expanded(
    path: PathBuf,
    user: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> PathBuf {
    // Paths in other encodings have neither.
    let Some(text) = path.to_str() else { return path };
    let mut made = OsString::new();
    let mut rest = text;
    if let (Some(user), Some(below)) = (user, text.strip_prefix('~'))
        && (below.is_empty() || below.starts_with('/'))
    {
        made.push(user);
        rest = below;
    }
    while let Some((before, after)) = rest.split_once('$') {
        made.push(before);
        let in_braces = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, behind) = in_braces.unwrap_or_else(|| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
        });
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                made.push(value);
                rest = behind;
            }
            None => {
                made.push("$");
                rest = after;
            }
        }
    }
    made.push(rest);
    made.into()
}

fn token_in(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<HubConfig, HubError> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into());
        HubConfig::read(find, Some("/home/ana".into()))
    }

    #[test]
    fn folders_and_endpoint_match_python() {
        let plain = read(&[]).unwrap();
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, Path::new("/home/ana/.cache/huggingface/hub"));
        assert!(!plain.offline && plain.token.is_none());
        let cache = |pairs: &[(&str, &str)]| read(pairs).unwrap().cache;
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Path::new("/h/hub"));
        let both = [("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")];
        assert_eq!(cache(&both), Path::new("/new"));
        assert_eq!(cache(&both[..2]), Path::new("/old"));
        for (given, found) in [
            ("~/hf", "/home/ana/hf/hub"),
            ("~", "/home/ana/hub"),
            ("/a/~", "/a/~/hub"),
            ("$DISK/hf", "/disk/hf/hub"),
            ("${DISK}s/$USER_1-x", "/disks/u-x/hub"),
            ("/a/$NONE/${NONE}/$/$$DISK", "/a/$NONE/${NONE}/$/$/disk/hub"),
        ] {
            let set = [("HF_HOME", given), ("DISK", "/disk"), ("USER_1", "u")];
            assert_eq!(cache(&set), Path::new(found), "{given}");
        }
        assert!(cache(&[("HF_HOME", "~ben/hf")]).ends_with("~ben/hf/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "~/x")]), Path::new("/home/ana/x/huggingface/hub"));
        assert_eq!(cache(&[("HUGGINGFACE_HUB_CACHE", "~/x")]), Path::new("/home/ana/x"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "~/$A"), ("A", "x")]), Path::new("/home/ana/x"));
        let own =
            read(&[("HF_ENDPOINT", "http://127.0.0.1:8/"), ("HF_HUB_OFFLINE", "True")]).unwrap();
        assert_eq!((own.endpoint.as_str(), own.offline), ("http://127.0.0.1:8", true));
        assert!(read(&[("TRANSFORMERS_OFFLINE", "1")]).unwrap().offline);
        assert!(!read(&[("HF_HUB_OFFLINE", "0")]).unwrap().offline);
        let bad = read(&[("HF_ENDPOINT", "huggingface.co")]).unwrap_err();
        assert!(bad.to_string().contains("HF_ENDPOINT"), "{bad}");
        let secret = read(&[("HF_ENDPOINT", "https://ana:sekret@hub.example/x")]).unwrap_err();
        let secret = secret.to_string();
        assert!(secret.contains("set HF_TOKEN") && !secret.contains("sekret"), "{secret}");
    }

    #[test]
    fn the_token_comes_from_a_variable_or_a_file_and_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_str().unwrap();
        fs::write(dir.path().join("token"), "hf_file\n").unwrap();
        fs::write(dir.path().join("other"), "hf_other").unwrap();
        let token = |pairs: &[(&str, &str)]| read(pairs).unwrap().token;
        assert_eq!(token(&[("HF_HOME", home)]).unwrap(), "hf_file");
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " hf_own ")]).unwrap(), "hf_own");
        let other = dir.path().join("other");
        let set = [("HF_HOME", home), ("HF_TOKEN_PATH", other.to_str().unwrap())];
        assert_eq!(token(&set).unwrap(), "hf_other");
        let shown = format!("{:?}", read(&set).unwrap());
        assert!(!shown.contains("hf_other"), "{shown}");
        let bad = read(&[("HF_TOKEN", "hf_a\nX: y")]).unwrap_err().to_string();
        assert!(bad.contains("HF_TOKEN") && !bad.contains("hf_a"), "{bad}");
    }
}
