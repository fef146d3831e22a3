//! The commands about keys: whether they are there, and until when.

use crate::commands::Call;
use crate::commands::Outcome;
use crate::commands::Refusal;
use crate::commands::SYNTAX;
use crate::commands::integer;
use crate::store::now;

/// `DEL key ...`
pub fn del(call: &mut Call<'_>) -> Outcome {
    let count = if call.args.len() == 1 {
        let key = call.arg()?;
        call.client.store.shard(key).remove(key).into()
    } else {
        let mut shards = call.client.store.all();
        call.args.by_ref().filter(|key| shards.of(key).remove(key)).count() as i64
    };
    call.reply.integer(count);
    Ok(())
}

/// `EXISTS key ...`
pub fn exists(call: &mut Call<'_>) -> Outcome {
    let mut shards = call.client.store.all();
    let count = call.args.by_ref().filter(|key| shards.of(key).get(key).is_some()).count();
    call.reply.integer(count as i64);
    Ok(())
}

/// `EXPIRE key time [NX|XX|GT|LT ...]` and `PEXPIRE`, in units of this many milliseconds.
pub fn expire(call: &mut Call<'_>, unit: i64) -> Outcome {
    let (key, time) = (call.arg()?, call.arg()?);
    let [mut nx, mut xx, mut gt, mut lt] = [false; 4];
    for option in call.args.by_ref() {
        match option.to_ascii_lowercase().as_slice() {
            b"nx" => nx = true,
            b"xx" => xx = true,
            b"gt" => gt = true,
            b"lt" => lt = true,
            _ => return Err(Refusal::Told([b"Unsupported option ", option].concat())),
        }
    }
    if nx && (xx || gt || lt) {
        return Err(Refusal::Text("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if gt && lt {
        return Err(Refusal::Text("GT and LT options at the same time are not compatible"));
    }
    let at = integer(time)?.checked_mul(unit).and_then(|time| time.checked_add(now() as i64));
    let at = at.ok_or_else(|| Refusal::Told(format!("invalid expire time in '{}' command", call.spec.name).into()))?;
    let mut shard = call.client.store.shard(key);
    let there = shard.get(key).is_some();
    let before = shard.expires(key).map(|at| at as i64);
    // A key that does not expire lives longest.
    let changes = there
        && !(nx && before.is_some() || xx && before.is_none())
        && !(gt && before.is_none_or(|before| at <= before) || lt && before.is_some_and(|before| at >= before));
    if changes && at <= now() as i64 {
        shard.remove(key);
    } else if changes {
        shard.expire(key, Some(at as u64));
    }
    call.reply.integer(changes.into());
    Ok(())
}

/// `TTL key` and `PTTL key`, in units of this many milliseconds.
pub fn ttl(call: &mut Call<'_>, unit: u64) -> Outcome {
    let key = call.arg()?;
    let shard = call.client.store.shard(key);
    let left = match (shard.get(key), shard.expires(key)) {
        (None, _) => -2,
        (Some(_), None) => -1,
        (Some(_), Some(at)) => ((at.saturating_sub(now()) + unit / 2) / unit) as i64,
    };
    call.reply.integer(left);
    Ok(())
}

/// `PERSIST key`
pub fn persist(call: &mut Call<'_>) -> Outcome {
    let key = call.arg()?;
    let mut shard = call.client.store.shard(key);
    let expires = shard.expires(key).is_some();
    if expires {
        shard.expire(key, None);
    }
    call.reply.integer(expires.into());
    Ok(())
}

/// `DBSIZE`
pub fn dbsize(call: &mut Call<'_>) -> Outcome {
    call.reply.integer(call.client.store.all().count().0 as i64);
    Ok(())
}

/// `FLUSHALL [ASYNC|SYNC]`
pub fn flush(call: &mut Call<'_>) -> Outcome {
    let how = call.args.next();
    let known = how.is_none_or(|how| how.eq_ignore_ascii_case(b"sync") || how.eq_ignore_ascii_case(b"async"));
    if !known || call.args.next().is_some() {
        return Err(SYNTAX);
    }
    call.client.store.all().clear();
    call.ok()
}
