//! The harness of tests that need their process to themselves: it runs one case after the other, on the main thread, and
//! starts no thread.
//!
//! A target that uses it has `harness = false` in Cargo.toml, and takes the arguments that `cargo test` hands on.

use libtest_mimic::Arguments;
pub use libtest_mimic::Trial;

/// The named functions, as cases for [`run`].
#[macro_export]
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        vec![$($crate::common::cases::case(stringify!($case), $case)),+]
    };
}

/// A case, which must leave no child process.
pub fn case(name: impl Into<String>, case: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, || {
        case();
        #[cfg(target_os = "linux")]
        assert_eq!(super::children(std::process::id()), [], "children are left");
        Ok(())
    })
}

/// A case that runs only if it is asked for: it needs a program that not every machine has.
pub fn needs(program: &str, trial: Trial) -> Trial {
    trial.with_kind(format!("needs {program}")).with_ignored_flag(true)
}

/// Runs the cases, or those that the command line asks for.
pub fn run(cases: Vec<Trial>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, cases).exit()
}

/// The arguments behind `flag`, with which a case has started this program again.
pub fn started_again(flag: &str) -> Option<Vec<String>> {
    let mut arguments = std::env::args();
    arguments.any(|argument| argument == flag).then(|| arguments.collect())
}
