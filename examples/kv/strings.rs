//! The commands about values.

use crate::commands::Call;
use crate::commands::Outcome;
use crate::commands::Refusal;
use crate::commands::SYNTAX;
use crate::commands::integer;
use crate::store::Expiry;
use crate::store::now;

/// `GET key`
pub fn get(call: &mut Call<'_>) -> Outcome {
    let key = call.arg()?;
    match call.client.store.shard(key).get(key) {
        Some(value) => call.reply.bulk(value),
        None => call.reply.nil(),
    }
    Ok(())
}

/// `SET key value [EX|PX|EXAT|PXAT time | KEEPTTL] [NX|XX] [GET]`
pub fn set(call: &mut Call<'_>) -> Outcome {
    let (key, value) = (call.arg()?, call.arg()?);
    let (mut time, mut keep, mut only, mut answer_old) = (None, false, None, false);
    while let Some(option) = call.args.next() {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        if (is("nx") || is("xx")) && only.is_none_or(|exists| exists == is("xx")) {
            only = Some(is("xx"));
        } else if is("get") {
            answer_old = true;
        } else if is("keepttl") && time.is_none() {
            keep = true;
        } else if let Some(way) = TimeOption::named(option)
            && time.is_none_or(|(before, _)| before == way)
            && !keep
        {
            // Given again, the last one counts, and those before are not looked at.
            time = Some((way, call.args.next().ok_or(SYNTAX)?));
        } else {
            return Err(SYNTAX);
        }
    }
    let expiry = match time {
        Some((way, time)) => {
            Expiry::At(way.at(integer(time)?).ok_or(Refusal::Text("invalid expire time in 'set' command"))?)
        }
        None if keep => Expiry::Keep,
        None => Expiry::Never,
    };
    let mut shard = call.client.store.shard(key);
    let old = if answer_old || only.is_some() { shard.get(key) } else { None };
    let done = only.is_none_or(|exists| exists == old.is_some());
    match old {
        Some(old) if answer_old => call.reply.bulk(old),
        None if answer_old => call.reply.nil(),
        _ if done => call.reply.ok(),
        _ => call.reply.nil(),
    }
    if done {
        shard.set(key, value, expiry);
    }
    Ok(())
}

/// How the time at which a key expires is given.
#[derive(Clone, Copy, Eq, PartialEq)]
struct TimeOption {
    /// In milliseconds.
    unit: i64,
    /// From now on, not from 1970.
    relative: bool,
}

impl TimeOption {
    fn named(option: &[u8]) -> Option<Self> {
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        let (unit, relative) = match () {
            () if is("ex") => (1000, true),
            () if is("px") => (1, true),
            () if is("exat") => (1000, false),
            () if is("pxat") => (1, false),
            () => return None,
        };
        Some(Self { unit, relative })
    }

    /// In milliseconds since 1970; `None` for times that do not exist.
    fn at(self, time: i64) -> Option<u64> {
        let from = if self.relative { now() } else { 0 };
        let at = time.checked_mul(self.unit).filter(|time| *time > 0)?.checked_add_unsigned(from)?;
        u64::try_from(at).ok()
    }
}

/// `MGET key ...`
pub fn mget(call: &mut Call<'_>) -> Outcome {
    let mut shards = call.client.store.all();
    call.reply.array(call.args.len());
    for key in call.args.by_ref() {
        match shards.of(key).get(key) {
            Some(value) => call.reply.bulk(value),
            None => call.reply.nil(),
        }
    }
    Ok(())
}

/// `MSET key value ...`
pub fn mset(call: &mut Call<'_>) -> Outcome {
    if call.args.len() % 2 == 1 {
        return Err(Refusal::Arity);
    }
    let mut shards = call.client.store.all();
    while let (Some(key), Some(value)) = (call.args.next(), call.args.next()) {
        shards.of(key).set(key, value, Expiry::Never);
    }
    call.reply.ok();
    Ok(())
}

/// `INCR key`, and all that add an amount to the number that a value is.
pub fn add(call: &mut Call<'_>, amount: i64) -> Outcome {
    let key = call.arg()?;
    let mut digits = itoa::Buffer::new();
    let mut shard = call.client.store.shard(key);
    let sum = match shard.get_mut(key) {
        Some(value) => {
            let sum = integer(value)?.checked_add(amount);
            let sum = sum.ok_or(Refusal::Text("increment or decrement would overflow"))?;
            value.clear();
            value.extend_from_slice(digits.format(sum).as_bytes());
            sum
        }
        None => {
            shard.set(key, digits.format(amount).as_bytes(), Expiry::Never);
            amount
        }
    };
    call.reply.integer(sum);
    Ok(())
}

/// `INCRBY key amount`
pub fn incrby(call: &mut Call<'_>) -> Outcome {
    let amount = call.args.clone().nth(1).ok_or(Refusal::Arity)?;
    add(call, integer(amount)?)
}

/// `DECRBY key amount`
pub fn decrby(call: &mut Call<'_>) -> Outcome {
    let amount = integer(call.args.clone().nth(1).ok_or(Refusal::Arity)?)?;
    add(call, amount.checked_neg().ok_or(Refusal::Text("decrement would overflow"))?)
}
