//! Lists in flags.

use peft_core::{Error, Result, Site};

/// Parses a list of layers such as `0-3,11`.
///
/// # Errors
///
/// [`Error::Setting`] naming the part that is not a number or range.
pub fn parse_layers(list: &str) -> Result<Vec<usize>> {
    let bad = |part: &str| {
        Error::setting(
            "--layers",
            format!("found {part:?}, expected numbers and ranges such as 0-3,11"),
        )
    };
    let mut layers = Vec::new();
    for part in list.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| bad(part))?;
        let last: usize = last.trim().parse().map_err(|_| bad(part))?;
        if first > last || last > 10_000 {
            return Err(bad(part));
        }
        layers.extend(first..=last);
    }
    layers.sort_unstable();
    layers.dedup();
    Ok(layers)
}

/// Parses a list of attention sites such as `encoder,cross`.
///
/// # Errors
///
/// [`Error::Setting`] naming the part that is not a site.
pub fn parse_sites(list: &str) -> Result<Vec<Site>> {
    list.split(',').map(|name| name.trim().parse()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_numbers_and_ranges() {
        assert_eq!(parse_layers("0-2, 5,1").unwrap(), [0, 1, 2, 5]);
        for bad in ["", "a", "3-1", "1-", "0-99999999"] {
            assert!(parse_layers(bad).unwrap_err().to_string().contains("--layers"), "{bad}");
        }
    }
}
