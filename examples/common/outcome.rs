//! How an example ends, and what it prints. An output that takes nothing (a full disk, a reader that has gone) is no
//! reason to panic, as the macros of the standard library do.

use std::error::Error;
use std::fmt;
use std::fmt::Display;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use socketserver::BindError;

use super::flags::MORE;

/// What the parts of an example return.
pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Runs an example. Its error is printed as it reads; the exit code is 2 if the command line is wrong, which `usage`
/// explains, and 1 if something else is.
pub fn run(usage: &str, example: impl FnOnce() -> Outcome) -> ExitCode {
    let Err(error) = example() else { return ExitCode::SUCCESS };
    let program = std::env::args_os().next().map(PathBuf::from);
    let name = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default().display();
    if is_wrong_usage(&*error) {
        complain(format_args!("{name}: {error}\n{usage}\n{MORE}"));
        return ExitCode::from(2);
    }
    complain(format_args!("{name}: {error}"));
    ExitCode::FAILURE
}

/// The error of a command line that asks for what there is not.
pub fn wrong_usage(message: impl Into<String>) -> Box<dyn Error> {
    Box::new(WrongUsage(message.into()))
}

#[derive(Debug)]
struct WrongUsage(String);

impl Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WrongUsage {}

/// Whether it is the user who can mend it: a flag, its value, or an address that is none.
fn is_wrong_usage(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref() {
        Some(BindError::Option { .. }) => true,
        Some(BindError::Resolve { source, .. }) => source.kind() == io::ErrorKind::InvalidInput,
        _ => error.is::<WrongUsage>(),
    }
}

/// Prints a line on the standard output, at once.
pub fn print(line: impl Display) -> Outcome {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write to standard output: {error}").into())
}

/// Prints a line on the standard error output, in one piece. If that fails, there is nowhere to say so.
pub fn complain(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
