//! The pages about several runs: those of `peft compare` and `peft sweep`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ROWS, VALID, page};
use crate::support::{peft, root, succeed, tiny_model};

/// Runs of two settings.
fn four_runs(dir: &Path) -> PathBuf {
    let runs = dir.join("runs");
    for p in ["2", "4"] {
        for lr in ["0.01", "0.1"] {
            let name = format!("p={p},lr={lr}");
            let flags = [
                "--method=ptv2",
                "--steps=4",
                "--eval-every=2",
                "--num-virtual-tokens",
                p,
                "--lr",
                lr,
            ];
            let mut command = peft(&root());
            command.args(["train", "--model", &tiny_model("bert"), "--task=seq-cls"]);
            command.args(["--batch-size=4", "--train", ROWS, "--valid", VALID]).args(flags);
            succeed(command.arg("--out").arg(runs.join(name)));
        }
    }
    runs
}

#[test]
fn a_comparison_has_a_page_with_links_to_its_runs() {
    let dir = tempfile::tempdir().unwrap();
    four_runs(dir.path());
    fs::create_dir(dir.path().join("pages")).unwrap();
    let compare = |html: &str| {
        let mut command = peft(dir.path());
        command.args(["compare", "runs", "--metric=loss", "--html", html]);
        command
    };
    let output = succeed(&mut compare("pages/all.html"));
    let table = String::from_utf8(output.stdout).unwrap();
    let found = page(&dir.path().join("pages/all.html"));
    // The same scores as the table that is printed.
    for line in table.lines().skip(1).take(4) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert!(
            found.contains(&format!("<td class=\"number\">{}</td>", cells[2])),
            "{line}: {found}"
        );
    }
    let links: Vec<&str> =
        found.split("href=\"./").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links.len(), 4, "{links:?}");
    for link in links {
        assert!(dir.path().join("pages").join(link).is_file(), "{link}");
    }
    // Four points against parameters; a curve of two evaluations for each run; a heat map of P and lr.
    assert_eq!(found.matches("class=\"pt\"").count(), 4 + 4 * 2);
    let (_, heat) = found.split_once("class=\"heat\"").unwrap();
    assert_eq!(heat.split("</table>").next().unwrap().matches("--v:").count(), 4);
    for name in ["pages/all.svg", "pages/"] {
        let refused = compare(name).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8(refused.stderr).unwrap().contains("--html"));
    }
    for run in fs::read_dir(dir.path().join("runs")).unwrap() {
        let run = run.unwrap().path();
        let mut predict = peft(&root());
        predict.args(["predict", "--model", &tiny_model("bert"), "--input", VALID, "--adapter"]);
        succeed(predict.arg(&run).arg("--output").arg(run.join("predictions.jsonl")));
    }
    succeed(compare("one.html").arg("--significance"));
    assert!(page(&dir.path().join("one.html")).contains("Each system against the best"));
}

#[test]
fn a_sweep_has_a_page_beside_its_runs() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| root().join(path).display().to_string();
    let text = format!(
        "model = {:?}\ntask = \"seq-cls\"\ntrain = {:?}\nvalid = {:?}\nsteps = 4\nbatch_size = 4\nmethod = \"ptv2\"\n\
         [grid]\nnum_virtual_tokens = [2, 3]\nseed = [1, 2]\n",
        at(&tiny_model("bert")),
        at(ROWS),
        at(VALID)
    );
    fs::write(dir.path().join("sweep.toml"), &text).unwrap();
    let sweep = |file: &str, out: &str| {
        succeed(peft(dir.path()).args(["sweep", file, "--out", out]));
    };
    sweep("sweep.toml", "out");
    let found = page(&dir.path().join("out/report.html"));
    assert_eq!(found.matches("href=\"./").count(), 4, "{found}");
    let run = dir.path().join("out/p=2,seed=1/report.html");
    page(&run);
    // A kill may come between the end of a run and its page.
    fs::remove_file(&run).unwrap();
    sweep("sweep.toml", "out");
    page(&run);
    fs::write(dir.path().join("less.toml"), format!("no_report = true\n{text}")).unwrap();
    sweep("less.toml", "less");
    assert!(!dir.path().join("less/report.html").exists());
    assert!(!dir.path().join("less/p=2,seed=1/report.html").exists());
}
