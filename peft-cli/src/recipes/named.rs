//! The recipes: TOML files of settings, each value with the place in the paper or its code that says so.

use peft_core::{Error, Result};
use serde_json::{Value, json};

use crate::{
    flags::method_name::MethodName,
    nearest::{did_you_mean, nearest},
    settings::Settings,
};

/// The settings of a paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What `--recipe` calls it.
    pub name: &'static str,
    /// The paper.
    pub paper: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Its TOML file.
    pub text: &'static str,
}

/// A recipe whose file has its name.
macro_rules! recipe {
    ($name:literal, $paper:expr, $purpose:literal) => {
        Recipe {
            name: $name,
            paper: $paper,
            purpose: $purpose,
            text: include_str!(concat!($name, ".toml")),
        }
    };
}

const LESTER: &str = "Lester et al. 2021, arXiv 2104.08691";
const LI: &str = "Li & Liang 2021, arXiv 2101.00190";
const LIU: &str = "Liu et al. 2022, arXiv 2110.07602";

impl Recipe {
    /// All recipes, in the order of the papers.
    pub const ALL: [Self; 9] = [
        recipe!("lester2021", LESTER, "text to text on T5, a whole training set"),
        recipe!("lester2021-fewshot", LESTER, "text to text on T5, some 32 rows a class"),
        recipe!("li2021-table", LI, "text from tables and records on GPT-2: E2E, WebNLG, DART"),
        recipe!("li2021-summary", LI, "summaries on BART: XSUM"),
        recipe!("li2021-low-data", LI, "text from tables on GPT-2, 50 to 500 rows"),
        recipe!("li2021-low-data-summary", LI, "summaries on BART, 50 to 500 rows: XSUM"),
        recipe!("liu2022-superglue", LIU, "classification on BERT and RoBERTa"),
        recipe!("liu2022-tagging", LIU, "tagging words on BERT and RoBERTa: entities, roles"),
        recipe!("liu2022-qa", LIU, "extractive answers on RoBERTa: SQuAD"),
    ];

    /// The recipe of a name.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`], which names the one that was probably meant.
    pub fn named(name: &str) -> Result<&'static Self> {
        Self::ALL.iter().find(|recipe| recipe.name == name).ok_or_else(|| {
            let names = Self::ALL.map(|recipe| recipe.name);
            let meant = did_you_mean(nearest(name, names));
            let names = names.join(", ");
            Error::setting("--recipe", format!("found {name:?}, expected one of {names}{meant}"))
        })
    }

    /// What it sets.
    pub fn settings(&self) -> Settings {
        // The files are part of the program, and a test reads each of them.
        toml::from_str(self.text).unwrap_or_default()
    }

    /// The method that it is for.
    pub fn method(&self) -> &'static str {
        self.settings().method.map_or("", MethodName::name)
    }

    /// All that there is to know of it.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "paper": self.paper,
            "for": self.purpose,
            "method": self.method(),
            "settings": self.settings(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use peft_core::Task;

    use super::*;
    use crate::settings::train_config::train_config;

    #[test]
    fn every_file_is_read_and_each_value_has_its_source() {
        for recipe in &Recipe::ALL {
            let found: Settings = toml::from_str(recipe.text).unwrap();
            assert_eq!(found, recipe.settings());
            let task = found.task.unwrap();
            train_config(&found, task).unwrap();
            assert!(found.recipe.is_none() && found.train.is_none() && found.model.is_none());
            let year = recipe.paper.split("arXiv ").nth(1).unwrap();
            assert!(recipe.text.lines().next().unwrap().contains(year), "{}", recipe.name);
            for line in recipe.text.lines().filter(|line| line.contains(" = ")) {
                let (setting, source) = line.split_once('#').unwrap();
                let begins = ["paper", "code", "tutorial"]
                    .iter()
                    .any(|place| source.trim().starts_with(place));
                assert!(begins || setting.is_empty(), "{}: {line}", recipe.name);
            }
        }
    }

    #[test]
    fn the_values_are_those_of_the_papers() {
        let of = |name: &str| Recipe::named(name).unwrap().settings();
        let lester = of("lester2021");
        assert_eq!(
            (
                lester.num_virtual_tokens,
                lester.steps,
                lester.batch_size,
                lester.lr,
                lester.weight_decay
            ),
            (Some(100), Some(30_000), Some(32), Some(0.3), Some(1e-5))
        );
        assert_eq!(lester.optimizer.as_deref(), Some("adafactor"));
        let table = of("li2021-table");
        assert_eq!(
            (
                table.num_virtual_tokens,
                table.epochs,
                table.batch_size,
                table.lr,
                table.prefix_hidden_size
            ),
            (Some(5), Some(5), Some(10), Some(8e-5), Some(512))
        );
        let summary = of("li2021-summary");
        assert_eq!(
            (
                summary.num_virtual_tokens,
                summary.epochs,
                summary.batch_size,
                summary.prefix_hidden_size
            ),
            (Some(100), Some(30), Some(14), Some(800))
        );
        let few = of("li2021-low-data-summary");
        assert_eq!(
            (few.task, few.num_virtual_tokens, few.epochs, few.batch_size, few.warmup_steps),
            (Some(Task::Seq2SeqLm), Some(1), Some(20), Some(5), Some(100))
        );
        let tagging = of("liu2022-tagging");
        assert_eq!(
            (tagging.task, tagging.num_virtual_tokens, tagging.schedule.as_deref()),
            (Some(Task::TokenCls), Some(11), Some("exponential"))
        );
    }

    #[test]
    fn an_unknown_name_is_told_with_the_nearest() {
        let error = Recipe::named("lester-2021").unwrap_err().to_string();
        assert!(error.ends_with("did you mean lester2021?"), "{error}");
        assert!(Recipe::named("x").unwrap_err().to_string().contains("li2021-low-data"));
    }
}
