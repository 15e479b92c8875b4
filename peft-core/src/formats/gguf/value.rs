//! The values of a GGUF file's metadata.

/// One value. Numbers of all widths are kept in the widest of their kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number that cannot be negative.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// A number of 32 or 64 bits.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of values of one type.
    Array(Array),
}

/// A list of values of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Whole numbers that cannot be negative.
    Unsigned(Vec<u64>),
    /// Whole numbers.
    Signed(Vec<i64>),
    /// Numbers.
    Floats(Vec<f64>),
    /// Truth values.
    Bools(Vec<bool>),
    /// Texts.
    Texts(Vec<String>),
    /// Lists.
    Arrays(Vec<Array>),
}

impl Value {
    /// A whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(*number),
            Self::Signed(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Unsigned(number) => Some(*number as f64),
            Self::Signed(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list of texts.
    pub fn as_texts(&self) -> Option<&[String]> {
        match self {
            Self::Array(Array::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    /// A list of numbers.
    pub fn as_numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::Array(Array::Unsigned(list)) => Some(list.iter().map(|x| *x as f64).collect()),
            Self::Array(Array::Signed(list)) => Some(list.iter().map(|x| *x as f64).collect()),
            Self::Array(Array::Floats(list)) => Some(list.clone()),
            _ => None,
        }
    }

    /// What it is, in a word, for messages: long values are not shown.
    pub fn kind(&self) -> String {
        match self {
            Self::Unsigned(number) => number.to_string(),
            Self::Signed(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Text(text) if text.chars().count() <= 40 => format!("{text:?}"),
            Self::Text(_) => "a long text".to_string(),
            Self::Array(array) => format!("a list of {}", array.len()),
        }
    }
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Unsigned(list) => list.len(),
            Self::Signed(list) => list.len(),
            Self::Floats(list) => list.len(),
            Self::Bools(list) => list.len(),
            Self::Texts(list) => list.len(),
            Self::Arrays(list) => list.len(),
        }
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
