//! From a page to another.

use std::path::{Component, Path};

use crate::paths::{absolute, relative};

/// The address of a file, from a page in `folder`; `None` where no path leads there.
pub fn address(folder: &Path, file: &Path) -> Option<String> {
    let folder = absolute(Path::new(""), folder)?;
    let folder = folder.canonicalize().unwrap_or(folder);
    let file = absolute(Path::new(""), file)?;
    let file = file.canonicalize().unwrap_or(file);
    let path = relative(&folder, &file)?;
    let parts: Option<Vec<String>> = path
        .components()
        .map(|part| match part {
            Component::ParentDir => Some("..".to_string()),
            Component::Normal(name) => name.to_str().map(encoded),
            _ => None,
        })
        .collect();
    // What has a colon would look like the name of a protocol.
    Some(format!("./{}", parts?.join("/")))
}

/// A part of a path within an address.
fn encoded(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=,".contains(&byte);
    let letter = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    name.bytes().map(letter).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn addresses_lead_from_the_folder_of_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let name = "runs/method=ptv2,p=2 #1%/report.html";
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::create_dir(at("pages")).unwrap();
        fs::write(at(name), "").unwrap();
        assert_eq!(
            address(&at("pages"), &at(name)).unwrap(),
            "./../runs/method=ptv2,p=2%20%231%25/report.html"
        );
        assert_eq!(
            address(dir.path(), &at(name)).unwrap(),
            "./runs/method=ptv2,p=2%20%231%25/report.html"
        );
        assert_eq!(encoded("javascript:alert(1)"), "javascript%3Aalert%281%29");
    }
}
