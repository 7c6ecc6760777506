//! The anomalies of the Hermitage suite, on cursors: what snapshot isolation prevents, what it does
//! not, and what `reserve` adds. Each script is played in the twelve settings of `script.rs`: plain,
//! with eviction or a checkpoint or both after every step, with long values, and by every way to
//! read.

use crate::script::check;

#[test]
fn g0_write_cycle_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 put 1 11
         T2 put 1 12 -> conflict
         T1 put 2 21
         T1 commit
         T2 rollback
         after -> 1=11 2=21",
    );
}

#[test]
fn g1a_aborted_read_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 put 1 101
         T2 scan -> 1=10 2=20
         T1 rollback
         T2 scan -> 1=10 2=20
         T2 get 1 -> 10
         T2 commit
         after -> 1=10 2=20",
    );
}

#[test]
fn g1b_intermediate_read_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 put 1 101
         T2 get 1 -> 10
         T1 put 1 11
         T1 get 1 -> 11
         T1 commit
         T2 get 1 -> 10
         T2 scan -> 1=10 2=20
         T2 commit
         T2 get 1 -> 11
         after -> 1=11 2=20",
    );
}

#[test]
fn g1c_circular_information_flow_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 put 1 11
         T2 put 2 22
         T1 get 2 -> 20
         T2 get 1 -> 10
         T1 commit
         T2 commit
         after -> 1=11 2=22",
    );
}

#[test]
fn otv_observed_transaction_does_not_vanish() {
    check(
        "T1 begin
         T2 begin
         T1 put 1 11
         T1 put 2 19
         T2 put 1 12 -> conflict
         T1 commit
         T2 rollback
         T3 begin
         T3 get 1 -> 11
         T2 begin
         T2 put 1 12
         T2 put 2 18
         T3 get 2 -> 19
         T2 commit
         T3 get 2 -> 19
         T3 get 1 -> 11
         T3 commit
         after -> 1=12 2=18",
    );
}

#[test]
fn pmp_predicate_many_preceders_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 scan %30 -> none
         T2 put 3 30
         T2 commit
         T1 scan %3 -> none
         T1 get 3 -> none
         T1 commit
         after -> 1=10 2=20 3=30",
    );
}

#[test]
fn pmp_with_a_write_predicate_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 put 1 20
         T1 put 2 30
         T2 scan %20 -> 2=20
         T2 remove 2 -> conflict
         T1 commit
         T2 rollback
         after -> 1=20 2=30",
    );
}

#[test]
fn p4_lost_update_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 get 1 -> 10
         T2 get 1 -> 10
         T1 put 1 11
         T2 put 1 11 -> conflict
         T1 commit
         T2 rollback
         after -> 1=11 2=20",
    );
}

#[test]
fn p4_lost_update_of_what_was_committed_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 get 1 -> 10
         T2 get 1 -> 10
         T1 put 1 11
         T1 commit
         T2 put 1 11 -> conflict
         T2 rollback
         after -> 1=11 2=20",
    );
}

#[test]
fn g_single_read_skew_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 get 1 -> 10
         T2 get 1 -> 10
         T2 get 2 -> 20
         T2 put 1 12
         T2 put 2 18
         T2 commit
         T1 get 2 -> 20
         T1 commit
         after -> 1=12 2=18",
    );
}

#[test]
fn g_single_with_predicates_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 scan %5 -> 1=10 2=20
         T2 put 1 12
         T2 remove 2
         T2 commit
         T1 scan %3 -> none
         T1 scan -> 1=10 2=20
         T1 commit
         after -> 1=12",
    );
}

#[test]
fn g_single_with_a_write_predicate_is_prevented() {
    check(
        "T1 begin
         T2 begin
         T1 get 1 -> 10
         T2 scan -> 1=10 2=20
         T2 put 1 12
         T2 put 2 18
         T2 commit
         T1 remove 2 -> conflict
         T1 rollback
         after -> 1=12 2=18",
    );
}

#[test]
fn g2_item_write_skew_succeeds() {
    check(
        "T1 begin
         T2 begin
         T1 scan -> 1=10 2=20
         T2 scan -> 1=10 2=20
         T1 put 1 11
         T2 put 2 21
         T1 commit
         T2 commit
         after -> 1=11 2=21",
    );
}

#[test]
fn g2_anti_dependency_cycle_succeeds() {
    check(
        "T1 begin
         T2 begin
         T1 scan %3 -> none
         T2 scan %3 -> none
         T1 put 3 30
         T2 put 4 42
         T1 commit
         T2 commit
         after -> 1=10 2=20 3=30 4=42",
    );
}

#[test]
fn g2_item_write_skew_is_prevented_by_reserve() {
    check(
        "T1 begin
         T2 begin
         T1 scan -> 1=10 2=20
         T1 reserve 1
         T1 reserve 2
         T2 scan -> 1=10 2=20
         T2 reserve 1 -> conflict
         T1 put 1 11
         T1 commit
         T2 rollback
         after -> 1=11 2=20",
    );
}

#[test]
fn g2_anti_dependency_cycle_is_prevented_by_reserve() {
    check(
        "T1 begin
         T2 begin
         T1 scan %3 -> none
         T1 reserve 1
         T2 scan %3 -> none
         T1 put 3 30
         T1 commit
         T2 reserve 1 -> conflict
         T2 rollback
         after -> 1=10 2=20 3=30",
    );
}
