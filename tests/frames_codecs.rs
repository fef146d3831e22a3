//! Any sequence of messages, encoded, cut at any places and decoded, is the same sequence; and what the limits of each
//! codec are.

#[path = "../fuzz/src/check.rs"]
#[allow(dead_code, reason = "the entry points of the fuzz targets")]
mod check;

use check::outcomes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use socketserver::frames::Decoder;
use socketserver::frames::DelimiterCodec;
use socketserver::frames::Encoder;
use socketserver::frames::FixedCodec;
use socketserver::frames::FrameError;
use socketserver::frames::LengthDelimitedCodec;
use socketserver::frames::LengthField;
use socketserver::frames::LinesCodec;

fn cut<'a>(input: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    places.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for place in places {
        pieces.push(&input[start..place]);
        start = place;
    }
    pieces.push(&input[start..]);
    pieces
}

/// Encodes, cuts, decodes, compares.
fn round_trip<C>(codec: &C, messages: &[Vec<u8>], cuts: &[Index]) -> Result<(), TestCaseError>
where
    C: Clone + for<'a> Decoder<Item<'a> = &'a [u8]> + for<'a> Encoder<&'a [u8], Error = FrameError>,
{
    let mut bytes = Vec::new();
    let mut encoder = codec.clone();
    for message in messages {
        encoder.encode(message, &mut bytes).expect("the message fits");
    }
    let expected: Vec<_> = messages.iter().cloned().map(Ok).collect();
    prop_assert_eq!(outcomes(codec.clone(), cut(&bytes, cuts), <[u8]>::to_vec), expected);
    Ok(())
}

proptest! {
    #[test]
    fn lines(lines in vec("[^\r\n]{0,20}", 0..20), cuts in vec(any::<Index>(), 0..20), crlf: bool) {
        let mut codec = LinesCodec::with_max_length(100);
        if crlf {
            codec = codec.crlf();
        }
        let mut bytes = Vec::new();
        for line in &lines {
            codec.clone().encode(line, &mut bytes).expect("the line fits");
        }
        let expected: Vec<_> = lines.iter().map(|line| Ok(line.as_bytes().to_vec())).collect();
        let found = outcomes(codec, cut(&bytes, &cuts), |line: &str| line.as_bytes().to_vec());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn delimiters(
        delimiter in vec(any::<u8>(), 1..5),
        messages in vec(vec(any::<u8>(), 0..30), 0..20),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let mut codec = DelimiterCodec::new(&delimiter);
        let fits = |message: &Vec<u8>| codec.encode(message, &mut Vec::new()).is_ok();
        let messages: Vec<_> = messages.into_iter().filter(fits).collect();
        round_trip(&codec, &messages, &cuts)?;
    }

    #[test]
    fn lengths(
        which in 0_usize..6,
        little_endian: bool,
        offset in 0_usize..6,
        adjustment in -20_isize..=0,
        messages in vec(vec(any::<u8>(), 0..200), 0..20),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        use LengthField::{U8, U16, U24, U32, U64, Varint};
        let field = [U8, U16, U24, U32, U64, Varint][which];
        let mut codec =
            LengthDelimitedCodec::new().length_field(field).length_field_offset(offset).length_adjustment(adjustment);
        if little_endian {
            codec = codec.little_endian();
        }
        round_trip(&codec, &messages, &cuts)?;
    }

    #[test]
    fn records(messages in vec(vec(any::<u8>(), 7..8), 0..20), cuts in vec(any::<Index>(), 0..20)) {
        round_trip(&FixedCodec::new(7), &messages, &cuts)?;
    }
}

#[test]
fn a_line_that_is_too_long_is_one_error_and_the_next_line_is_read() {
    let found =
        outcomes(LinesCodec::with_max_length(3), ["abc\r\nabc", "d and much more", " of it\nx\n"], |line: &str| {
            line.into()
        });
    let too_long = FrameError::TooLong { limit: 3 }.to_string();
    assert_eq!(found, [Ok(b"abc".to_vec()), Err(too_long), Ok(b"x".to_vec())]);
}

#[test]
fn the_last_line_needs_no_end() {
    assert_eq!(
        outcomes(LinesCodec::new(), ["a\nb\r"], |line: &str| line.into()),
        [Ok(b"a".to_vec()), Ok(b"b".to_vec())]
    );
}

#[test]
fn what_would_be_read_as_something_else_is_not_sent() {
    let mut output = b"before".to_vec();
    let error = LinesCodec::new().encode("two\nlines", &mut output).expect_err("a line with an end in it");
    assert!(matches!(error, FrameError::Invalid { .. }));
    // `xa` and the delimiter `aa` are `xaaa`, which ends after `x`.
    let error = DelimiterCodec::new("aa").encode("xa", &mut output).expect_err("overlaps with the delimiter");
    assert!(matches!(error, FrameError::Invalid { .. }));
    let error =
        LengthDelimitedCodec::new().length_field(LengthField::U8).encode([0; 256], &mut output).expect_err("too long");
    assert_eq!(error, FrameError::TooLong { limit: 255 });
    let error = FixedCodec::new(4).encode("five!", &mut output).expect_err("not four bytes");
    assert!(matches!(error, FrameError::Invalid { .. }));
    assert_eq!(output, b"before", "nothing is added by a message that fails");
}

#[test]
fn a_length_beyond_the_limit_is_refused_at_once() {
    let mut codec = LengthDelimitedCodec::new().length_field(LengthField::U64).max_frame_length(1000);
    assert_eq!(codec.decode(&mut &[0xff; 8][..]), Err(FrameError::TooLong { limit: 1000 }));
    let mut codec = codec.length_adjustment(-8);
    assert!(matches!(codec.decode(&mut &[0; 8][..]), Err(FrameError::Invalid { .. })));
    let mut varint = LengthDelimitedCodec::new().length_field(LengthField::Varint);
    assert!(matches!(varint.decode(&mut &[0xff; 10][..]), Err(FrameError::Invalid { .. })));
}

#[test]
fn input_that_ends_inside_a_frame_says_so() {
    let mut rest = &b"\0\0\0\x05he"[..];
    assert_eq!(LengthDelimitedCodec::new().decode_eof(&mut rest), Err(FrameError::Truncated { unread: 6 }));
}

#[test]
fn the_head_can_be_kept_or_skipped_in_part() {
    let codec = LengthDelimitedCodec::new().length_field(LengthField::U16).length_field_offset(1);
    let frame = b"T\0\x02hi";
    assert_eq!(codec.clone().decode(&mut &frame[..]), Ok(Some(&b"hi"[..])));
    assert_eq!(codec.clone().num_skip(0).decode(&mut &frame[..]), Ok(Some(&frame[..])));
    assert_eq!(codec.num_skip(1).decode(&mut &frame[..]), Ok(Some(&frame[1..])));
}
