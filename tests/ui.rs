//! What must not compile does not, and the message says why.

#[test]
fn illegal_combinations_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
