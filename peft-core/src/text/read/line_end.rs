//! What ends the lines of a file: LF, with a CR in front of it or not, or CR alone, as in files of old Macs.

use super::dialect::{Dialect, Quotes};

/// Follows a file byte by byte, to tell what ends its lines: CR if one is there and no LF. In CSV what stands in quotes
/// ends no line.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineEnd {
    csv: Option<(Dialect, Quotes)>,
    has_cr: bool,
    has_lf: bool,
}

impl LineEnd {
    /// Before the first byte of plain lines, or of CSV.
    pub fn new(csv: Option<Dialect>) -> Self {
        let csv = csv.filter(|dialect| dialect.quotes);
        let csv = csv.map(|dialect| (dialect, Quotes::new(dialect)));
        Self { csv, has_cr: false, has_lf: false }
    }

    /// Takes the next bytes; whether what follows changes nothing, as an LF was found.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        match &mut self.csv {
            None => {
                self.has_cr |= bytes.contains(&b'\r');
                self.has_lf |= bytes.contains(&b'\n');
            }
            Some((dialect, quotes)) => {
                for &byte in bytes {
                    _ = quotes.push(byte);
                    if quotes.quoted {
                        continue;
                    }
                    if byte == b'\n' {
                        self.has_lf = true;
                        break;
                    }
                    if byte == b'\r' {
                        self.has_cr = true;
                        *quotes = Quotes::new(*dialect);
                    }
                }
            }
        }
        self.has_lf
    }

    /// Whether the lines so far end as those of old Macs.
    pub fn is_old_mac(&self) -> bool {
        self.has_cr && !self.has_lf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_quotes_ends_no_line() {
        let csv = Dialect { delimiter: b',', quotes: true, skip_space: false };
        let is_old_mac = |csv: Option<Dialect>, text: &str| {
            let mut end = LineEnd::new(csv);
            // Bytes come in pieces.
            let (one, two) = text.as_bytes().split_at(text.len() / 2);
            let _ = end.push(one) || end.push(two);
            end.is_old_mac()
        };
        for (text, in_csv, as_lines) in [
            ("a,b\r\"x\ny\",1\r", true, false),
            ("a,b\rx \"y\n", false, false),
            ("\"a\rb\",c\nx,1\n", false, false),
            ("\"a\nb\",c\rx,1\r", true, false),
            ("a,b\r\rx,1", true, true),
            ("a,b\r\nx,1\r\n", false, false),
            // As where line ends were converted twice.
            ("a,b\r\r\nx,1\r\r\n", false, false),
            ("a\rb,c\nx,1\n", false, false),
            ("a,b", false, false),
        ] {
            assert_eq!(is_old_mac(Some(csv), text), in_csv, "{text:?}");
            assert_eq!(is_old_mac(Some(Dialect::TSV), text), as_lines, "{text:?}");
            assert_eq!(is_old_mac(None, text), as_lines, "{text:?}");
        }
    }
}
