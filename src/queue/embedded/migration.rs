//! Brings a file of an older format to today's.
//!
//! Format 1 kept results and poisonous recordings by document, without the account. If all jobs and
//! marks are of one account, they become that account's. Otherwise they are dropped: the recordings
//! are recognised again and judged anew. Jobs are left as they are, because [`Answer`] reads the
//! outboxes of format 1.
//!
//! Format 2 had neither the previews of jobs nor the summaries of answers. A program that overlooks
//! them would send an answer twice, so it must not open the file. There is nothing to change.
//!
//! [`Answer`]: crate::domain::Answer

use std::collections::BTreeSet;

use redb::{Database, ReadableTable as _, TableDefinition, WriteTransaction};

use super::expiring::Expiring;
use super::file::{DocumentKey, FORMAT, JOBS, Key, META, POISON, RESULTS};

/// The formats that are brought to today's.
pub const OLD_FORMATS: [u64; 2] = [1, 2];

const MARKS: TableDefinition<Key, (u64, &[u8])> = TableDefinition::new("marks");

type OldTable = TableDefinition<'static, i64, (u64, &'static [u8])>;
type OldEnds = TableDefinition<'static, (u64, i64), ()>;

const OLD_RESULTS: OldTable = TableDefinition::new("results");
const OLD_RESULT_ENDS: OldEnds = TableDefinition::new("result_expiry");
const OLD_POISON: OldTable = TableDefinition::new("poison");
const OLD_POISON_ENDS: OldEnds = TableDefinition::new("poison_expiry");

/// All of it or nothing: the file is of either format, whenever the process dies.
pub fn migrate(database: &Database, from: u64) -> Result<(), redb::Error> {
    let tx = database.begin_write()?;
    if from == 1 {
        name_account(&tx)?;
    }
    tx.open_table(META)?.insert("format", FORMAT)?;
    Ok(tx.commit()?)
}

fn name_account(tx: &WriteTransaction) -> Result<(), redb::Error> {
    if let Some(account) = only_account(tx)? {
        copy(tx, OLD_RESULTS, account, &RESULTS)?;
        copy(tx, OLD_POISON, account, &POISON)?;
    }
    tx.delete_table(OLD_RESULTS)?;
    tx.delete_table(OLD_RESULT_ENDS)?;
    tx.delete_table(OLD_POISON)?;
    tx.delete_table(OLD_POISON_ENDS)?;
    Ok(())
}

/// The account of all jobs and marks, if they have the same. The tables are sorted by account, so
/// their ends suffice.
fn only_account(tx: &WriteTransaction) -> Result<Option<i64>, redb::Error> {
    let (jobs, marks) = (tx.open_table(JOBS)?, tx.open_table(MARKS)?);
    let mut accounts = BTreeSet::new();
    for end in [jobs.first()?, jobs.last()?] {
        accounts.extend(end.map(|(key, _)| key.value().0));
    }
    for end in [marks.first()?, marks.last()?] {
        accounts.extend(end.map(|(key, _)| key.value().0));
    }
    Ok(accounts.pop_first().filter(|_| accounts.is_empty()))
}

fn copy(
    tx: &WriteTransaction,
    old: OldTable,
    account: i64,
    new: &Expiring<DocumentKey>,
) -> Result<(), redb::Error> {
    for entry in tx.open_table(old)?.iter()? {
        let (document, value) = entry?;
        let (end, value) = value.value();
        new.put(tx, (account, document.value()), value, 0, end)?;
    }
    Ok(())
}
