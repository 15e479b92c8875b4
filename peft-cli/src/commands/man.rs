//! `peft man`: manual pages.

use std::{fs, path::PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
use peft_core::{Error, adapter::atomic};

use crate::{error::CliResult, output};

/// Writes the manual pages, peft(1) and one for each command, into a folder.
///
/// Example: peft man ~/.local/share/man/man1 && man peft-train
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ManArgs {
    /// Folder for the pages; it is made if it is not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs the command, for this command line.
///
/// # Errors
///
/// Returns an error if a page cannot be written.
pub fn run(args: &ManArgs, mut program: Command) -> CliResult {
    output::check_folder("DIR", &args.dir)?;
    program.build();
    let of_commands = program.get_subcommands().filter(|command| command.get_name() != "help");
    let page = |command: &Command, name: String| -> CliResult<(PathBuf, Vec<u8>)> {
        let path = args.dir.join(format!("{name}.1"));
        let mut text = Vec::new();
        let command =
            command.clone().version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true);
        let page = Man::new(command.display_name(&name))
            .title(name)
            .source(format!("peft {}", env!("CARGO_PKG_VERSION")));
        page.render(&mut text).map_err(Error::write(&path))?;
        Ok((path, text))
    };
    let mut pages = vec![page(&program, "peft".into())?];
    for command in of_commands {
        pages.push(page(command, format!("peft-{}", command.get_name()))?);
    }
    fs::create_dir_all(&args.dir).map_err(Error::write(&args.dir))?;
    for (path, text) in &pages {
        atomic::write_file(path, text)?;
    }
    Ok(output::line(format!("{} pages in {}", pages.len(), args.dir.display()))?)
}
