//! How the columns of a file make up a row.
//!
//! A column has a value for each place of its field in a row, or says by its levels how much of the path to the
//! field is there ([Dremel]). Lists are groups of a repeated group of an element, or one of the [older forms].
//!
//! [Dremel]: https://research.google/pubs/pub36632/
//! [older forms]: https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#backward-compatibility-rules

use parquet::{
    basic::{ConvertedType, LogicalType, Repetition},
    schema::types::{SchemaDescriptor, Type},
};

use super::{column::Column, fault::Fault, value::Meaning};
use crate::text::ordered::Ordered;

/// Fields within one another, at most.
const DEEPEST: usize = 64;

/// A field of a row: a column, or what is made of several.
#[derive(Debug, PartialEq)]
pub(super) enum Field {
    /// The values of a column, by its place among those that are read.
    Column(usize),
    /// An object, which is there from this definition level on.
    Object { there: i16, fields: Vec<(String, Field)> },
    /// A list, which is there from one definition level on and has elements from another one on. A value with
    /// this repetition level begins a new element. A map is a list of objects with a key and a value.
    List { there: i16, filled: i16, repetition: i16, element: Box<Field>, is_map: bool },
}

/// A row, and the columns that it is read from.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// The fields of a row.
    pub fields: Vec<(String, Field)>,
    /// The columns that are read: their numbers in the file, and what their values are.
    pub columns: Vec<(usize, Meaning)>,
    /// The columns that are not, since they hold bytes that are no text.
    pub binary: Vec<String>,
}

impl Schema {
    /// How the rows of a file are read.
    ///
    /// # Errors
    /// What the columns can not be made into a row for.
    pub fn of(file: &SchemaDescriptor) -> Result<Self, String> {
        let mut builder = Builder { file, schema: Self::default(), next: 0 };
        for field in file.root_schema().get_fields() {
            let name = field.name().to_owned();
            if builder.schema.fields.iter().any(|(other, _)| *other == name) {
                return Err(format!("has two columns of the name `{name}`; rename one of them"));
            }
            if let Some(field) = builder.field(field, Place::default())? {
                builder.schema.fields.push((name, field));
            }
        }
        Ok(builder.schema)
    }
}

/// The levels of a field, and how deep it is nested.
#[derive(Clone, Copy, Default)]
struct Place {
    definition: i16,
    repetition: i16,
    depth: usize,
}

impl Place {
    fn inside(self, repetition: Option<Repetition>) -> Self {
        let definition = i16::from(repetition.is_some_and(|kind| kind != Repetition::REQUIRED));
        Self {
            definition: self.definition + definition,
            repetition: self.repetition + i16::from(repetition == Some(Repetition::REPEATED)),
            depth: self.depth + 1,
        }
    }
}

struct Builder<'a> {
    file: &'a SchemaDescriptor,
    schema: Schema,
    /// The number of the next column in the file.
    next: usize,
}

impl Builder<'_> {
    /// A field at the place of its parent; `None` if nothing of it is read.
    fn field(&mut self, field: &Type, parent: Place) -> Result<Option<Field>, String> {
        let repetition = repetition(field);
        let place = parent.inside(repetition);
        let found = self.value(field, place)?;
        Ok(match repetition {
            // Outside lists, a repeated field is a list of its own.
            Some(Repetition::REPEATED) => {
                found.map(|element| list(parent.definition, place, element, false))
            }
            _ => found,
        })
    }

    /// What is in a field at this place.
    fn value(&mut self, field: &Type, place: Place) -> Result<Option<Field>, String> {
        if place.depth > DEEPEST {
            return Err(format!("nests fields deeper than {DEEPEST}"));
        }
        if field.is_primitive() {
            return Ok(self.column());
        }
        let children = field.get_fields();
        let kind = annotation(field);
        if let ([repeated], Some(kind)) = (children, kind)
            && self::repetition(repeated) == Some(Repetition::REPEATED)
        {
            let inside = place.inside(Some(Repetition::REPEATED));
            let element = match repeated.is_primitive() || is_element(field, repeated, kind) {
                true => self.value(repeated, inside)?,
                false => self.field(&repeated.get_fields()[0], inside)?,
            };
            let is_map = kind == Annotation::Map;
            return Ok(element.map(|element| list(place.definition, inside, element, is_map)));
        }
        let mut fields = Vec::new();
        for child in children {
            if let Some(found) = self.field(child, place)? {
                fields.push((child.name().to_owned(), found));
            }
        }
        let object = Field::Object { there: place.definition, fields };
        Ok(Some(object).filter(|object| object.first().is_some()))
    }

    fn column(&mut self) -> Option<Field> {
        let number = self.next;
        self.next += 1;
        let column = self.file.column(number);
        let Some(meaning) = Meaning::of(&column) else {
            self.schema.binary.push(column.path().string());
            return None;
        };
        self.schema.columns.push((number, meaning));
        Some(Field::Column(self.schema.columns.len() - 1))
    }
}

fn list(there: i16, inside: Place, element: Field, is_map: bool) -> Field {
    let (filled, repetition) = (inside.definition, inside.repetition);
    Field::List { there, filled, repetition, element: Box::new(element), is_map }
}

fn repetition(field: &Type) -> Option<Repetition> {
    let info = field.get_basic_info();
    info.has_repetition().then(|| info.repetition())
}

/// What a group with one repeated field is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Annotation {
    List,
    Map,
}

fn annotation(field: &Type) -> Option<Annotation> {
    let info = field.get_basic_info();
    match (info.logical_type_ref(), info.converted_type()) {
        (Some(LogicalType::List), _) | (None, ConvertedType::LIST) => Some(Annotation::List),
        (Some(LogicalType::Map), _) | (None, ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE) => {
            Some(Annotation::Map)
        }
        _ => None,
    }
}

/// Whether the repeated group in a list is its element, not what stands around it.
fn is_element(list: &Type, repeated: &Type, kind: Annotation) -> bool {
    let [field] = repeated.get_fields() else { return true };
    let tuple = || repeated.name() == format!("{}_tuple", list.name());
    kind == Annotation::Map
        || repetition(field) == Some(Repetition::REPEATED)
        || annotation(repeated).is_some()
        || repeated.name() == "array"
        || tuple()
}

impl Field {
    /// The first column that it is read from.
    fn first(&self) -> Option<usize> {
        match self {
            Self::Column(column) => Some(*column),
            Self::Object { fields, .. } => fields.first().and_then(|(_, field)| field.first()),
            Self::List { element, .. } => element.first(),
        }
    }

    /// Reads the field of the next row, or of the next element in it.
    ///
    /// # Errors
    /// What is wrong with the columns.
    pub fn read(&self, columns: &mut [Column]) -> Result<Ordered, Fault> {
        match self {
            Self::Column(column) => columns[*column].take(),
            Self::Object { there, fields } => {
                if self.definition(columns)? < *there {
                    self.skip(columns)?;
                    return Ok(Ordered::Null);
                }
                let read =
                    |(name, field): &(String, Self)| Ok((name.clone(), field.read(columns)?));
                fields.iter().map(read).collect::<Result<_, Fault>>().map(Ordered::Object)
            }
            Self::List { there, filled, repetition, element, is_map } => {
                let definition = self.definition(columns)?;
                let mut elements = Vec::new();
                if definition < *filled {
                    self.skip(columns)?;
                    if definition < *there {
                        return Ok(Ordered::Null);
                    }
                } else {
                    loop {
                        elements.push(element.read(columns)?);
                        if !element.goes_on(columns, *repetition)? {
                            break;
                        }
                    }
                }
                Ok(if *is_map { object(elements) } else { Ordered::Array(elements) })
            }
        }
    }

    fn definition(&self, columns: &mut [Column]) -> Result<i16, Fault> {
        let column = self.first().ok_or("has no columns")?;
        Ok(columns[column].level()?.definition)
    }

    /// Steps over one value of each column.
    fn skip(&self, columns: &mut [Column]) -> Result<(), Fault> {
        self.each(&mut |column| columns[column].take().map(drop))
    }

    /// Whether another element of the list with this repetition level follows.
    fn goes_on(&self, columns: &mut [Column], repetition: i16) -> Result<bool, Fault> {
        let mut found = None;
        self.each(&mut |column| {
            let next = columns[column].peek()?.map_or(0, |level| level.repetition);
            let goes_on = next == repetition;
            if next > repetition || *found.get_or_insert(goes_on) != goes_on {
                return Err("has lists of other lengths in other columns".into());
            }
            Ok(())
        })?;
        Ok(found.unwrap_or(false))
    }

    fn each(&self, visit: &mut dyn FnMut(usize) -> Result<(), Fault>) -> Result<(), Fault> {
        match self {
            Self::Column(column) => visit(*column),
            Self::Object { fields, .. } => {
                fields.iter().try_for_each(|(_, field)| field.each(visit))
            }
            Self::List { element, .. } => element.each(visit),
        }
    }
}

/// The object of a map's entries, whose keys become text.
fn object(entries: Vec<Ordered>) -> Ordered {
    let entry = |entry: Ordered| {
        let Ordered::Object(fields) = entry else { return None };
        let mut fields = fields.into_iter().map(|(_, value)| value);
        let key = match fields.next()? {
            Ordered::String(key) => key,
            other => other.to_value().to_string(),
        };
        Some((key, fields.next().unwrap_or(Ordered::Null)))
    };
    let mut found: Vec<(String, Ordered)> = Vec::new();
    for (key, value) in entries.into_iter().filter_map(entry) {
        match found.iter_mut().find(|(other, _)| *other == key) {
            Some((_, other)) => *other = value,
            None => found.push((key, value)),
        }
    }
    Ordered::Object(found)
}
