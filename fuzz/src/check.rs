//! What holds for every codec whatever arrives: no panic, memory within its limit, and the same messages however the
//! bytes are cut.

#[path = "../../examples/kv/resp.rs"]
#[allow(dead_code, unreachable_pub)]
mod resp;

use resp::Resp;
use socketserver::frames::Decoder;
use socketserver::frames::DelimiterCodec;
use socketserver::frames::FixedCodec;
use socketserver::frames::LengthDelimitedCodec;
use socketserver::frames::LengthField;
use socketserver::frames::LinesCodec;
use socketserver::transport::proxy::Header;

/// What a codec made of the input, in order: messages, and errors as they read.
pub(crate) type Outcomes = Vec<Result<Vec<u8>, String>>;

/// Feeds `pieces` to the codec as a connection does, to the end of input.
///
/// `bytes` makes a message comparable.
pub(crate) fn outcomes<C: Decoder>(
    mut codec: C,
    pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
    bytes: impl Fn(C::Item<'_>) -> Vec<u8>,
) -> Outcomes {
    let mut outcomes = Vec::new();
    let mut unread = Vec::new();
    for piece in pieces {
        // As much at a time as a connection would take in.
        for piece in piece.as_ref().chunks(4096) {
            unread.extend_from_slice(piece);
            if !take(&mut codec, false, &mut unread, &mut outcomes, &bytes) {
                return outcomes;
            }
            let limit = codec.max_frame_length();
            assert!(unread.len() <= limit, "{} bytes are held, the codec allows {limit}", unread.len());
        }
    }
    take(&mut codec, true, &mut unread, &mut outcomes, &bytes);
    outcomes
}

/// All that is complete; false after an error that ends the conversation.
fn take<C: Decoder>(
    codec: &mut C,
    ended: bool,
    unread: &mut Vec<u8>,
    outcomes: &mut Outcomes,
    bytes: &impl Fn(C::Item<'_>) -> Vec<u8>,
) -> bool {
    let mut rest = &unread[..];
    let goes_on = loop {
        let before = rest.len();
        let decoded = if ended { codec.decode_eof(&mut rest) } else { codec.decode(&mut rest) };
        assert!(rest.len() <= before && unread.ends_with(rest), "a codec takes from the front");
        match decoded {
            Ok(Some(message)) => outcomes.push(Ok(bytes(message))),
            Ok(None) => break true,
            Err(error) => {
                outcomes.push(Err(error.to_string()));
                if rest.len() == before {
                    break false;
                }
            }
        }
    };
    let taken = unread.len() - rest.len();
    unread.drain(..taken);
    goes_on
}

/// The same messages from the input as a whole, byte by byte, and in pieces of the lengths that `cuts` has.
pub(crate) fn same_however_cut<C: Decoder + Clone>(
    codec: &C,
    cuts: &[u8],
    input: &[u8],
    bytes: impl Fn(C::Item<'_>) -> Vec<u8>,
) {
    let whole = outcomes(codec.clone(), [input], &bytes);
    let single = outcomes(codec.clone(), input.chunks(1), &bytes);
    assert_eq!(whole, single, "byte by byte");
    let mut rest = input;
    let mut pieces = Vec::new();
    for &cut in cuts {
        let (piece, left) = rest.split_at(rest.len().min(cut.into()));
        pieces.push(piece);
        rest = left;
    }
    pieces.push(rest);
    assert_eq!(whole, outcomes(codec.clone(), pieces, &bytes), "cut at {cuts:?}");
}

/// The first bytes choose the options, then come the cuts, then the input.
fn parts<const N: usize>(data: &[u8]) -> Option<([u8; N], &[u8], &[u8])> {
    let (options, rest) = data.split_first_chunk::<N>()?;
    let (&cuts, rest) = rest.split_first()?;
    let (cuts, input) = rest.split_at_checked((cuts % 16).into())?;
    Some((*options, cuts, input))
}

pub(crate) fn lines(data: &[u8]) {
    let Some(([length], cuts, input)) = parts(data) else { return };
    same_however_cut(&LinesCodec::with_max_length(length.into()), cuts, input, |line| line.as_bytes().to_vec());
}

pub(crate) fn delimited(data: &[u8]) {
    let Some(([length, which], cuts, input)) = parts(data) else { return };
    let delimiters: [&[u8]; 5] = [b"\0", b"\r\n", b"aa", b"aba", b"\r\n.\r\n"];
    let codec = DelimiterCodec::with_max_length(delimiters[usize::from(which) % delimiters.len()], length.into());
    same_however_cut(&codec, cuts, input, <[u8]>::to_vec);
}

pub(crate) fn length_prefixed(data: &[u8]) {
    let Some(([field, endian, offset, adjustment, skip, length], cuts, input)) = parts(data) else { return };
    use LengthField::{U8, U16, U24, U32, U64, Varint};
    let fields = [U8, U16, U24, U32, U64, Varint];
    let mut codec = LengthDelimitedCodec::new()
        .length_field(fields[usize::from(field) % fields.len()])
        .length_field_offset((offset % 8).into())
        .length_adjustment((adjustment as i8 / 8).into())
        .max_frame_length(usize::from(length) * 4);
    if endian & 1 == 1 {
        codec = codec.little_endian();
    }
    if skip & 1 == 1 {
        codec = codec.num_skip((skip / 16).into());
    }
    same_however_cut(&codec, cuts, input, <[u8]>::to_vec);
}

pub(crate) fn fixed(data: &[u8]) {
    let Some(([length], cuts, input)) = parts(data) else { return };
    same_however_cut(&FixedCodec::new(usize::from(length) + 1), cuts, input, <[u8]>::to_vec);
}

/// The commands of the example `kv`.
pub(crate) fn resp(data: &[u8]) {
    let Some(([], cuts, input)) = parts(data) else { return };
    same_however_cut(&Resp::default(), cuts, input, |command| {
        let mut words = Vec::new();
        for word in command.args() {
            words.extend_from_slice(word);
            words.push(b' ');
        }
        words
    });
}

/// PROXY headers: what is read does not depend on how much of it is there at once. The first two bytes are a limit.
pub(crate) fn proxy_header(data: &[u8]) {
    let Some((&limit, input)) = data.split_first_chunk() else { return };
    let most = u16::from_be_bytes(limit).into();
    let whole = Header::parse_within(input, most);
    if let Ok(Some((header, length))) = &whole {
        // A line has a limit of its own.
        let limit = if header.version() == 1 { 107 } else { most };
        assert!(*length <= limit.min(input.len()), "{length} bytes of {}, at most {limit}", input.len());
        for (_, value) in header.tlvs() {
            assert!(value.len() < *length);
        }
        let _ = (header.alpn(), header.authority(), header.unique_id(), header.ssl().map(|ssl| ssl.tlvs().count()));
    }
    for length in 0..input.len() {
        let part = Header::parse_within(&input[..length], most);
        match (&part, &whole) {
            (Ok(None), _) => {}
            (Ok(Some(_)), _) => assert_eq!(part, whole, "{length} bytes"),
            (Err(_), whole) => assert!(whole.is_err(), "{length} bytes are {part:?}, all of them {whole:?}"),
        }
        if let Ok(Some((_, needed))) = &whole {
            assert_eq!(part.unwrap().is_some(), length >= *needed, "{length} of {needed} bytes");
        }
    }
}
