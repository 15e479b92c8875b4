//! Classes with their probabilities.

use peft_core::{ProblemType, data::Labels, evaluate::THRESHOLD};
use serde_json::{Map, Value, json};

/// Which classes are shown beside the one that is predicted.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The K likeliest; all where nothing is said.
    pub top: Option<usize>,
}

impl Shown {
    /// What is predicted for a row of one class.
    pub fn one_class(
        self,
        labels: Option<&Labels>,
        best: usize,
        probabilities: &[f32],
    ) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("label".into(), name(labels, best));
        fields.insert("probability".into(), json!(probabilities.get(best)));
        self.add(labels, probabilities, &mut fields);
        fields
    }

    /// What is predicted for a row of a regression, or with any number of classes: those whose probability is above
    /// the threshold.
    pub fn values(
        self,
        problem_type: ProblemType,
        labels: Option<&Labels>,
        values: &[f32],
    ) -> Map<String, Value> {
        let mut fields = Map::new();
        if problem_type == ProblemType::Regression {
            let score = match values {
                [score] => json!(score),
                scores => json!(scores),
            };
            fields.insert("score".into(), score);
            return fields;
        }
        let above = values.iter().enumerate().filter(|(_, p)| **p > THRESHOLD);
        let (classes, p): (Vec<Value>, Vec<f32>) =
            above.map(|(class, p)| (name(labels, class), *p)).unzip();
        fields.insert("labels".into(), classes.into());
        fields.insert("probability".into(), json!(p));
        self.add(labels, values, &mut fields);
        fields
    }

    /// The classes with their probabilities.
    fn add(self, labels: Option<&Labels>, probabilities: &[f32], to: &mut Map<String, Value>) {
        if let Some(top) = self.likeliest("label", labels, probabilities) {
            to.insert("top".into(), top);
            return;
        }
        to.insert("probabilities".into(), json!(probabilities));
        if let Some(labels) = labels {
            let of_name =
                labels.names().iter().cloned().zip(probabilities.iter().map(|p| json!(p)));
            to.insert("classes".into(), Value::Object(of_name.collect()));
        }
    }

    /// The K likeliest classes, the likeliest first, each called `key`; `None` if all are shown.
    pub fn likeliest(
        self,
        key: &str,
        labels: Option<&Labels>,
        probabilities: &[f32],
    ) -> Option<Value> {
        let mut classes: Vec<usize> = (0..probabilities.len()).collect();
        classes.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        classes.truncate(self.top?);
        let class =
            |class: usize| json!({ key: name(labels, class), "probability": probabilities[class] });
        Some(classes.into_iter().map(class).collect())
    }
}

/// The name of a class, or its index if classes have no names.
pub fn name(labels: Option<&Labels>, class: usize) -> Value {
    labels.and_then(|labels| labels.name(class)).map_or_else(|| json!(class), |name| json!(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_have_their_name_and_the_likeliest_their_order() {
        let labels = Labels::from_list(["a", "b", "c"].map(String::from).to_vec()).unwrap();
        let p = [0.25, 0.5, 0.25];
        let all = Shown { top: None }.one_class(Some(&labels), 1, &p);
        let expected = json!({"label": "b", "probability": 0.5, "probabilities": p,
            "classes": {"a": 0.25, "b": 0.5, "c": 0.25}});
        assert_eq!(Value::Object(all), expected);
        let two = Shown { top: Some(2) }.one_class(Some(&labels), 1, &p);
        let top = json!([{"label": "b", "probability": 0.5}, {"label": "a", "probability": 0.25}]);
        assert_eq!(Value::Object(two), json!({"label": "b", "probability": 0.5, "top": top}));
        let unnamed = Shown { top: Some(9) }.likeliest("label", None, &p).unwrap();
        assert_eq!(unnamed.as_array().unwrap().len(), 3);
        assert_eq!(unnamed[0]["label"], 1);
    }
}
