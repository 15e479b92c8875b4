//! The little world that the built-in model was pretrained on, and the task that `peft demo` adapts it to.
//!
//! A document states what somebody has, and where. The instruction in front says which *aspects* of that are
//! the answer, in which order and in which language:
//!
//! ```text
//! in german , give the thing and the number : leo has two red cups in the barn . tassen zwei
//! ```
//!
//! There are 192 such behaviours: all 64 ordered selections of one to four aspects, times three languages.
//! One document in six has no instruction, and any of the 192 may follow.
//!
//! The demo's task is not one of them: the colour in French, then the place in German. No document mixes
//! languages, no instruction can ask for it, and the task's rows have no instruction anyway. The frozen
//! model knows every word it needs; the virtual tokens have to tell it what to do with them.
//!
//! All text is a function of its seed, the same on every machine.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Closes every document and every answer.
pub const END_OF_TEXT: &str = "<eos>";
/// Fills the shorter rows of a batch.
pub const PADDING: &str = "<pad>";
/// Stands for words outside the vocabulary; the generator never writes it.
pub const UNKNOWN: &str = "<unk>";

/// The instruction that comes closest to the task: the right aspects, and half of the languages.
pub const CLOSEST_INSTRUCTION: &str = "say the colour and the place in french :";

/// Documents that the built-in model was pretrained on.
pub const PRETRAINING_DOCUMENTS: u64 = 200_000;
/// Their seed.
pub const PRETRAINING_SEED: u64 = 0;

/// Rows of the task to train on.
pub const TRAIN_ROWS: usize = 1000;
/// Rows of the task to score on.
pub const TEST_ROWS: usize = 200;

const PEOPLE: [&str; 16] = [
    "ana", "ben", "carla", "david", "emma", "felix", "greta", "hugo", "iris", "jonas", "klara",
    "leo", "mona", "nils", "olga", "paul",
];

/// A word in English, French and German.
type Entry = [&'static str; 3];

const NUMBERS: [Entry; 8] = [
    ["two", "deux", "zwei"],
    ["three", "trois", "drei"],
    ["four", "quatre", "vier"],
    ["five", "cinq", "fünf"],
    ["seven", "sept", "sieben"],
    ["eight", "huit", "acht"],
    ["nine", "neuf", "neun"],
    ["ten", "dix", "zehn"],
];

const COLOURS: [Entry; 8] = [
    ["red", "rouge", "rot"],
    ["blue", "bleu", "blau"],
    ["green", "vert", "grün"],
    ["yellow", "jaune", "gelb"],
    ["black", "noir", "schwarz"],
    ["white", "blanc", "weiß"],
    ["brown", "brun", "braun"],
    ["grey", "gris", "grau"],
];

const THINGS: [Entry; 12] = [
    ["cups", "tasses", "tassen"],
    ["hats", "chapeaux", "hüte"],
    ["books", "livres", "bücher"],
    ["chairs", "chaises", "stühle"],
    ["keys", "clés", "schlüssel"],
    ["lamps", "lampes", "lampen"],
    ["spoons", "cuillères", "löffel"],
    ["boxes", "boîtes", "kisten"],
    ["shoes", "chaussures", "schuhe"],
    ["bags", "sacs", "taschen"],
    ["plates", "assiettes", "teller"],
    ["coats", "manteaux", "mäntel"],
];

const PLACES: [Entry; 10] = [
    ["kitchen", "cuisine", "küche"],
    ["garden", "jardin", "garten"],
    ["cellar", "cave", "keller"],
    ["attic", "grenier", "dachboden"],
    ["bedroom", "chambre", "schlafzimmer"],
    ["stable", "écurie", "stall"],
    ["shop", "magasin", "laden"],
    ["library", "bibliothèque", "bücherei"],
    ["school", "école", "schule"],
    ["barn", "grange", "scheune"],
];

/// Names of the languages, in the order of an [`Entry`].
const LANGUAGES: [&str; 3] = ["english", "french", "german"];
const ENGLISH: usize = 0;
const FRENCH: usize = 1;
const GERMAN: usize = 2;

/// Words of sentences and instructions that none of the tables above has.
const GRAMMAR: [&str; 20] = [
    ".", ",", ":", "the", "in", "has", "looks", "for", "belong", "to", "and", "then", "say",
    "give", "name", "tell", "me", "answer", "with", "please",
];

/// One in this many pretraining documents comes without an instruction.
const UNTOLD: usize = 6;

/// Separates the task's rows from the random streams of the pretraining documents.
const TASK_STREAM: u64 = u64::MAX;

/// What can be asked about what somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aspect {
    Number,
    Colour,
    Thing,
    Place,
}

impl Aspect {
    const ALL: [Self; 4] = [Self::Number, Self::Colour, Self::Thing, Self::Place];

    /// The two words by which instructions call the aspect.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Number => ["number", "count"],
            Self::Colour => ["colour", "shade"],
            Self::Thing => ["thing", "object"],
            Self::Place => ["place", "room"],
        }
    }

    fn words(self) -> &'static [Entry] {
        match self {
            Self::Number => &NUMBERS,
            Self::Colour => &COLOURS,
            Self::Thing => &THINGS,
            Self::Place => &PLACES,
        }
    }
}

/// What a pretraining document answers: the aspects to name, in order, and the language.
struct Behaviour {
    aspects: Vec<Aspect>,
    language: usize,
}

impl Behaviour {
    fn draw(rng: &mut Rng) -> Self {
        let order = rng.distinct(Aspect::ALL.len());
        let count = 1 + rng.below(order.len());
        let aspects = order[..count].iter().map(|&aspect| Aspect::ALL[aspect]).collect();
        Self { aspects, language: rng.below(LANGUAGES.len()) }
    }

    /// The answer about `fact`.
    fn answer(&self, fact: &Fact) -> String {
        let words = self.aspects.iter().map(|&aspect| fact.word(aspect, self.language));
        words.collect::<Vec<_>>().join(" ")
    }

    /// One of the many ways to ask for this behaviour, ending in a colon.
    fn instruction(&self, rng: &mut Rng) -> String {
        let opener = rng.pick(&["say", "please say", "give", "name", "tell me", "answer with"]);
        let comma = rng.pick(&[" , ", " then ", " and "]);
        let names = self.aspects.iter().map(|aspect| format!("the {}", rng.pick(&aspect.names())));
        let what = names.collect::<Vec<_>>().join(comma);
        let language = LANGUAGES[self.language];
        match rng.below(2) {
            0 => format!("{opener} {what} in {language} :"),
            _ => format!("in {language} , {opener} {what} :"),
        }
    }
}

/// One person and what they have: indices into the tables.
struct Fact {
    person: usize,
    /// Number, colour, thing and place.
    words: [usize; 4],
}

impl Fact {
    fn draw(rng: &mut Rng) -> Self {
        let words = Aspect::ALL.map(|aspect| rng.below(aspect.words().len()));
        Self { person: rng.below(PEOPLE.len()), words }
    }

    fn word(&self, aspect: Aspect, language: usize) -> &'static str {
        aspect.words()[self.words[aspect as usize]][language]
    }

    fn sentence(&self, rng: &mut Rng) -> String {
        let person = PEOPLE[self.person];
        let [number, colour, thing, place] = Aspect::ALL.map(|aspect| self.word(aspect, ENGLISH));
        match rng.below(4) {
            0 => format!("{person} has {number} {colour} {thing} in the {place} ."),
            1 => format!("in the {place} {person} has {number} {colour} {thing} ."),
            2 => format!("the {number} {colour} {thing} in the {place} belong to {person} ."),
            _ => format!("{person} looks for {number} {colour} {thing} in the {place} ."),
        }
    }
}

/// The task's rows, each a source and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// [`TRAIN_ROWS`] rows to train on.
    pub train: Vec<(String, String)>,
    /// [`TEST_ROWS`] rows to score on. Neither their sources nor their targets occur in `train`.
    pub test: Vec<(String, String)>,
}

/// Every word of the world; a word's place in the list is its token id.
pub fn vocabulary() -> Vec<String> {
    let mut words = vec![PADDING, END_OF_TEXT, UNKNOWN];
    words.extend(GRAMMAR);
    words.extend(LANGUAGES);
    words.extend(Aspect::ALL.into_iter().flat_map(Aspect::names));
    words.extend(PEOPLE);
    words.extend(Aspect::ALL.into_iter().flat_map(|aspect| aspect.words().iter().flatten()));
    words.into_iter().map(str::to_owned).collect()
}

/// Document `index` of the pretraining text of `seed`, without the closing [`END_OF_TEXT`].
pub fn pretraining_document(seed: u64, index: u64) -> String {
    let mut rng = Rng::new(seed, index);
    let behaviour = Behaviour::draw(&mut rng);
    let instruction = behaviour.instruction(&mut rng);
    let fact = Fact::draw(&mut rng);
    let sentence = fact.sentence(&mut rng);
    let answer = behaviour.answer(&fact);
    match rng.below(UNTOLD) {
        0 => format!("{sentence} {answer}"),
        _ => format!("{instruction} {sentence} {answer}"),
    }
}

/// The task's rows for `seed`.
///
/// One in five of the 80 answers (pairs of a colour and a place) is reserved for the test rows, so that
/// neither a test row's answer nor its source is ever seen in training.
pub fn task_split(seed: u64) -> Split {
    let mut rng = Rng::new(seed, TASK_STREAM);
    let mut split = Split { train: Vec::new(), test: Vec::new() };
    let mut seen = HashSet::new();
    while split.train.len() < TRAIN_ROWS || split.test.len() < TEST_ROWS {
        let fact = Fact::draw(&mut rng);
        let source = fact.sentence(&mut rng);
        let [_, colour, _, place] = fact.words;
        let (rows, limit) = match (colour + place) % 5 {
            0 => (&mut split.test, TEST_ROWS),
            _ => (&mut split.train, TRAIN_ROWS),
        };
        if rows.len() < limit && seen.insert(source.clone()) {
            let colour = fact.word(Aspect::Colour, FRENCH);
            let place = fact.word(Aspect::Place, GERMAN);
            rows.push((source, format!("{colour} {place}")));
        }
    }
    split
}

/// Writes what `demo-model/pretrain.py` reads: `vocabulary.txt`, one word per line in the order of their ids,
/// and `pretraining.txt`, one document per line.
pub fn write_pretraining_text(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("vocabulary.txt"), vocabulary().join("\n") + "\n")?;
    let mut file = BufWriter::new(File::create(folder.join("pretraining.txt"))?);
    for index in 0..PRETRAINING_DOCUMENTS {
        writeln!(file, "{}", pretraining_document(PRETRAINING_SEED, index))?;
    }
    file.flush()
}

/// SplitMix64, which is small and the same on every machine.
struct Rng(u64);

impl Rng {
    fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed);
        rng.0 = rng.next() ^ stream;
        rng.0 = rng.next();
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    fn below(&mut self, bound: usize) -> usize {
        // The high half of a 128-bit product: always below `bound`, and uniform enough for small bounds.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// The numbers below `bound`, shuffled.
    fn distinct(&mut self, bound: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..bound).collect();
        for last in (1..bound).rev() {
            numbers.swap(last, self.below(last + 1));
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_known(text: &str, words: &HashSet<String>) {
        for word in text.split(' ') {
            assert!(words.contains(word), "{word:?} of {text:?} is not in the vocabulary");
        }
    }

    #[test]
    fn vocabulary_has_no_word_twice() {
        let words = vocabulary();
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
        assert_eq!(words[..3], [PADDING, END_OF_TEXT, UNKNOWN]);
    }

    #[test]
    fn all_text_stays_inside_the_vocabulary() {
        let words = vocabulary().into_iter().collect();
        for index in 0..2000 {
            assert_known(&pretraining_document(1, index), &words);
        }
        let split = task_split(1);
        for (source, target) in split.train.iter().chain(&split.test) {
            assert_known(source, &words);
            assert_known(target, &words);
        }
        assert_known(CLOSEST_INSTRUCTION, &words);
    }

    #[test]
    fn text_is_a_function_of_seed_and_index() {
        let index = 7;
        assert_eq!(pretraining_document(3, index), pretraining_document(3, index));
        assert_ne!(pretraining_document(3, index), pretraining_document(3, index + 1));
        assert_ne!(pretraining_document(3, index), pretraining_document(4, index));
        assert_eq!(task_split(3), task_split(3));
        assert_ne!(task_split(3), task_split(4));
    }

    #[test]
    fn test_rows_share_neither_source_nor_answer_with_training_rows() {
        let split = task_split(1);
        assert_eq!((split.train.len(), split.test.len()), (TRAIN_ROWS, TEST_ROWS));
        let rows = split.train.iter().chain(&split.test);
        let sources: HashSet<_> = rows.map(|(source, _)| source).collect();
        assert_eq!(sources.len(), TRAIN_ROWS + TEST_ROWS);
        let trained: HashSet<_> = split.train.iter().map(|(_, target)| target).collect();
        assert!(split.test.iter().all(|(_, target)| !trained.contains(target)));
    }

    #[test]
    fn no_pretraining_document_mixes_languages() {
        let tables = Aspect::ALL.map(Aspect::words);
        for index in 0..5000 {
            let document = pretraining_document(PRETRAINING_SEED, index);
            let answer = document.rsplit(" . ").next().expect("an answer follows the sentence");
            let in_language = |word: &str, language: usize| {
                tables.iter().any(|table| table.iter().any(|entry| entry[language] == word))
            };
            let pure = [ENGLISH, FRENCH, GERMAN]
                .iter()
                .any(|&language| answer.split(' ').all(|word| in_language(word, language)));
            assert!(pure, "{document:?}");
        }
    }

    #[test]
    fn the_answer_follows_from_the_source() {
        for (source, target) in task_split(1).test {
            let given: Vec<&str> = source.split(' ').collect();
            let said = |table: &'static [Entry]| {
                table.iter().find(|entry| given.contains(&entry[ENGLISH])).expect("a known word")
            };
            assert_eq!(target, format!("{} {}", said(&COLOURS)[FRENCH], said(&PLACES)[GERMAN]));
        }
    }
}
