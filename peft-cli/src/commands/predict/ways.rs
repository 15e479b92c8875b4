//! The ways to answer rows: questions by one adapter, rows by those that they name, by all that vote, and by the likelihood of
//! classes.

use std::sync::Arc;

use peft_core::{
    Task,
    data::Example,
    evaluate::{Vote, multi_adapter::PerPosition, questions},
    text::{FieldNames, Role},
};
use serde_json::{Map, Value, json};

use super::PredictArgs;
use crate::{
    adapter_set::AdapterSet,
    class_texts::ranked::{RankBy, Ranking, rankable},
    decoder_start,
    decoding::{Purpose, settle},
    end_token,
    ensemble::heads::{Voters, together},
    error::CliResult,
    flags::decoding::DecodingArgs,
    predictions::{REFERENCE, Worded, Words, answers, name, tags, words},
    shard::Taken,
    shots,
};

/// One adapter's answers to questions.
pub fn answer(args: &PredictArgs, taken: &Taken, set: AdapterSet) -> CliResult {
    let session = set.only("qa")?;
    let records = match args.asked.row(std::slice::from_ref(&session), &args.rows)? {
        Some(row) => vec![row],
        None => session.read(&args.input, &args.rows)?,
    };
    let encoded = session.encode_records(&records, &args.rows, false)?;
    session.check_lengths(&encoded, 0)?;
    let longest = session.max_answer_length(&args.rows)?;
    let threshold = session.null_score_diff_threshold(&args.rows)?;
    let predictor = session
        .predictor()?
        .with_batch_size(args.batch_size)
        .with_max_answer_length(longest)
        .with_null_score_diff_threshold(threshold);
    // A question has a record of its own, whatever the number of its windows.
    let questions = questions(&encoded.examples);
    let own = std::slice::from_ref(&session);
    let cut = args.cut(taken, (&records, &encoded.examples), own, &(longest, threshold));
    args.write(taken, &cut, own, |output, watch| {
        let predictor = predictor.with_watch(watch);
        for part in cut.block().groups(together(args.batch_size)) {
            let windows = questions[part.start].start..questions[part.end - 1].end;
            let windows = &encoded.examples[windows];
            let found = predictor.best_answers(windows, args.n_best.unwrap_or(1))?;
            let of_block = part.zip(&found).filter(|(row, _)| cut.block().contains(*row));
            for (row, found) in of_block {
                let mut fields = answers(windows, found, args.n_best);
                args.given().add(&records[row], &mut fields);
                output.add(fields)?;
            }
        }
        Ok(())
    })
}

/// Each row answered by the adapter that it names.
pub fn by_named(args: &PredictArgs, taken: &Taken, set: &AdapterSet) -> CliResult {
    let records = args.read(set)?;
    let of_row = set.of_rows(&records)?;
    let rows = Worded::new(records, set.task()?, &set.field_names(&args.rows));
    let (examples, names) = set.encode(rows.encoded(), &of_row, &args.rows)?;
    let references = args.references(set, &rows.given, &of_row, &names)?;
    let model = set.multi_adapter()?.with_batch_size(args.batch_size);
    let line = |row: usize, answer: PerPosition| -> CliResult<Map<String, Value>> {
        let labels = set.labels(of_row[row]);
        let problem_type = set.sessions[of_row[row]].problem_type;
        let mut fields = if problem_type.has_values() {
            let values = answer.first().map_or(&[] as &[f32], Vec::as_slice);
            args.shown().values(problem_type, labels, values)
        } else {
            let chosen: Vec<_> = answer.into_iter().map(|p| Vote::Mean.choose(&[p])).collect();
            match set.task()? {
                Task::SeqCls => args.shown().one_class(labels, chosen[0].0, &chosen[0].1),
                _ => {
                    let words = words_of(&rows, row, &examples[row], &names[of_row[row]]);
                    tags(&examples[row], labels, &chosen, &words, args.shown())
                }
            }
        };
        if set.names.len() > 1 {
            fields.insert("adapter".into(), json!(set.names[of_row[row]]));
        }
        references.add(row, &mut fields);
        args.given().add(&rows.given[row], &mut fields);
        Ok(fields)
    };
    // Where there are several, lines say which of them answered.
    let named = (set.names.len() > 1).then_some(&set.names);
    let cut = args.cut(taken, (&rows.given, &examples), &set.sessions, &named);
    args.write(taken, &cut, &set.sessions, |output, watch| {
        let model = model.with_watch(watch);
        for part in cut.block().groups(together(args.batch_size)) {
            let answers = model.answer(&examples[part.clone()], &of_row[part.clone()])?;
            for (row, answer) in part.zip(answers).filter(|(row, _)| cut.block().contains(*row)) {
                output.add(line(row, answer)?)?;
            }
        }
        Ok(())
    })
}

/// The likeliest class of each row that a language model reads.
pub fn by_likelihood(args: &PredictArgs, taken: &Taken, set: AdapterSet, by: RankBy) -> CliResult {
    let session = set.only("--rank-classes")?;
    let mut session = session.with_task_labels(&args.rows, args.outputs.labels.is_some())?;
    let records = match args.asked.row(std::slice::from_ref(&session), &args.rows)? {
        Some(row) => vec![row],
        None => session.read(&args.input, &args.rows)?,
    };
    let labels = rankable(session.labels.as_ref(), &records)?.clone();
    let (encoded, _) = shots::encode(&mut session, &records, &args.rows, (false, 0), &args.shots)?;
    let end = end_token::find(&session.base, &session.dir)?;
    end_token::note(&end, &session.dir);
    decoder_start::note(&session.base);
    let config = settle(&DecodingArgs::default(), &session.base, &end, Purpose::Scoring)?
        .with_batch_size(args.batch_size);
    let rows = (records.as_slice(), &encoded);
    let ranking = Ranking::new(&session, &labels, rows, &args.rows, (&config, by))?;
    let own = std::slice::from_ref(&session);
    let cut = args.cut(taken, (&records, &encoded.examples), own, &config);
    args.write(taken, &cut, own, |output, watch| {
        for part in cut.block().groups(together(args.batch_size)) {
            let inputs: Vec<&[u32]> =
                encoded.examples[part.clone()].iter().map(|row| row.input_ids.as_slice()).collect();
            let found = ranking.likelihoods(&inputs)?;
            let of_block = part.clone().zip(&found).filter(|(row, _)| cut.block().contains(*row));
            for (row, sums) in of_block {
                let record = &records[row];
                let mut fields = ranking.predicted(&labels, sums, args.shown());
                let own = ranking.own(record).filter(|own| labels.index(own).is_some());
                if let Some(own) = own.filter(|_| args.given().fields) {
                    fields.insert(REFERENCE.into(), own.into());
                }
                args.given().add(record, &mut fields);
                output.add(fields)?;
            }
            if (watch.0)(part.end, records.len()).is_break() {
                break;
            }
        }
        Ok(())
    })
}

/// The words that a row's tags are of.
fn words_of<'a>(rows: &'a Worded, row: usize, example: &Example, names: &FieldNames) -> Words<'a> {
    match (rows.text(row), &example.word_of_token) {
        (Some(text), _) => Words::Text(text, words(text)),
        (None, Some(_)) => {
            let found = rows.given[row].strings(names.name(Role::Tokens));
            found.map_or(Words::Unknown, Words::List)
        }
        (None, None) => Words::Unknown,
    }
}

/// Each row answered by all adapters, which vote on its class or on each of its tags.
pub fn by_vote(args: &PredictArgs, taken: &Taken, set: &AdapterSet, vote: Vote) -> CliResult {
    let rows = Worded::new(args.read(set)?, set.task()?, &set.field_names(&args.rows));
    let records = rows.encoded();
    let voters = Voters::new(set, records, &args.rows, false)?.with_batch_size(args.batch_size);
    let first = Arc::clone(voters.rows());
    let (examples, names) = (&first.examples, &first.fields);
    let of_first = vec![0; records.len()];
    let references = args.references(set, &rows.given, &of_first, std::slice::from_ref(names))?;
    let labels = set.labels(0);
    // The answers of all adapters to a row.
    let line = |row: usize, of_members: &[PerPosition]| -> CliResult<Map<String, Value>> {
        let places = of_members[0].len();
        let at = |place: usize| -> PerPosition {
            of_members.iter().map(|answer| answer[place].clone()).collect()
        };
        let chosen: Vec<(usize, Vec<f32>)> =
            (0..places).map(|place| vote.choose(&at(place))).collect();
        let mut fields = if set.task()? == Task::SeqCls {
            let mut fields = args.shown().one_class(labels, chosen[0].0, &chosen[0].1);
            let votes = of_members.iter().map(|answer| {
                let (class, _) = Vote::Mean.choose(&answer[..1]);
                name(labels, class)
            });
            fields.insert("votes".into(), votes.collect());
            fields
        } else {
            let words = words_of(&rows, row, &examples[row], names);
            tags(&examples[row], labels, &chosen, &words, args.shown())
        };
        references.add(row, &mut fields);
        args.given().add(&rows.given[row], &mut fields);
        Ok(fields)
    };
    let cut = args.cut(taken, (&rows.given, examples), &set.sessions, &());
    args.write(taken, &cut, &set.sessions, |output, watch| {
        let voters = voters.with_watch(watch);
        for part in voters.groups(cut.block()) {
            let answers = part.clone().zip(voters.answer(part)?);
            for (row, of_members) in answers.filter(|(row, _)| cut.block().contains(*row)) {
                output.add(line(row, &of_members)?)?;
            }
        }
        Ok(())
    })
}
