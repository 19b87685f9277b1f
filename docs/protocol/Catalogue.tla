------------------------------ MODULE Catalogue ------------------------------
(* How the runs of an output leave every galaxy in its catalogue exactly once.

   What `pipeline/protocol` decides, as TLC can try it: every order of every step of several calls, each of
   which may be slow for as long as it likes or die. A step is what one look or one write of the store does.
   Names are those of the code. README.md, beside this file, says what is left out and how to run it. *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS
    Classify,  \* calls `classify`, all of the same input and settings
    NewRun,    \* calls `classify new_run=true`, all of another input
    Refresh,   \* calls `refresh`; the source has another unit 2 than either had
    Vacuum,    \* calls `vacuum`
    Crashes,   \* how often, in all, a call dies or is given again
    Unclear,   \* how often, in all, the answer to the write of a version is lost
    Off        \* guards that are switched off, by name; {} for the protocol as it is

On(guard) == guard \notin Off

Writers == Classify \cup NewRun \cup Refresh
Callers == Writers \cup Vacuum
Units == {1, 2}  \* a unit is as good as one galaxy: its rows are there together or not at all

VARIABLES
    lease,     \* who holds it, and under which epoch
    plans,     \* plans in the order in which they were made; a run is the number of its plan
    ledger,    \* entries [run, unit, by]: whose part of the unit stands
    parts,     \* parts [run, unit, by] that are stored
    files,     \* data files [run, by, rows] that lie in the catalogue's folder, named by a version or not
    log,       \* the versions of the table; version n is log[n], and version 1 is the empty table
    flying,    \* writes of versions that were reported as failed and may land yet
    finished,  \* runs whose success was reported
    call,      \* where each call is, and what it remembers
    crashes, unclear  \* how many there were

vars == <<lease, plans, ledger, parts, files, log, flying, finished, call, crashes, unclear>>
store == <<plans, ledger, parts, files, log, flying, finished>>

NoRun == 0  \* of a version that changes no row
Fresh == [at |-> "start", epoch |-> 0, run |-> NoRun, draft |-> <<>>, todo |-> {}, version |-> 0, files |-> {}]

Init ==
    /\ lease = [by |-> "nobody", epoch |-> 0]
    /\ plans = <<>> /\ ledger = {} /\ parts = {} /\ files = {} /\ flying = {} /\ finished = {}
    /\ log = IF On("StandingTable") THEN <<[run |-> NoRun, epoch |-> 0, live |-> {}]>> ELSE <<>>
    /\ call = [c \in Callers |-> Fresh]
    /\ crashes = 0 /\ unclear = 0

(* ------------------------------- what the store says ------------------------------- *)

Last(sequence) == sequence[Len(sequence)]

Epoch == IF log = <<>> THEN 0 ELSE Last(log).epoch

\* `TableState.content`: the newest version that changed rows; 0 if none did.
Content ==
    LET written == {n \in 1..Len(log) : log[n].run # NoRun}
    IN  IF written = {} THEN 0 ELSE CHOOSE n \in written : \A m \in written : m <= n

Made(run) == \E n \in 1..Len(log) : log[n].run = run
HoldsRowsOf(run) == Content # 0 /\ log[Content].run = run

RowsOf(live) == UNION {file.rows : file \in live}
Named == UNION {log[n].live : n \in 1..Len(log)}

\* `newest_first`
Newer(run, other) ==
    LET p == plans[run] q == plans[other]
    IN  p.sequence > q.sequence \/ (p.sequence = q.sequence /\ p.epoch > q.epoch)
Latest == CHOOSE run \in 1..Len(plans) : \A other \in 1..Len(plans) : ~Newer(other, run)

UnitsOf(run) == IF plans[run].kept = 0 THEN Units ELSE {2}
EntriesOf(run) == {entry \in ledger : entry.run = run}

(* ------------------------------------ the lease ------------------------------------ *)

Me(c) == [by |-> c, epoch |-> call[c].epoch]
Holds(c) == ~On("LeaseCheck") \/ lease = Me(c)

Goes(c, to) == call' = [call EXCEPT ![c].at = to]
Ends(c, how) == call' = [call EXCEPT ![c] = [Fresh EXCEPT !.at = how]]  \* it remembers nothing
Stops(c) == Ends(c, "stopped") /\ UNCHANGED <<lease, store, crashes, unclear>>

\* `take`. There are no clocks: any holder may have slept through its lifetime, so that the lease can be taken
\* from it at any moment. Without compare-and-swap, what the taker saw may have been long ago.
TakeLease(c) ==
    /\ call[c].at = "start"
    /\ \E seen \in IF On("LeaseCAS") THEN {lease.epoch} ELSE 0..lease.epoch :
        /\ lease' = [by |-> c, epoch |-> seen + 1]
        /\ call' = [call EXCEPT ![c].at = "held", ![c].epoch = seen + 1]
    /\ UNCHANGED <<store, crashes, unclear>>

(* ------------------------------------- the plan ------------------------------------ *)

\* What a writer would plan now: [draft, kept]; the plan's fingerprint.
Draft(c) ==
    CASE c \in Classify -> [draft |-> "A", kept |-> 0]
      [] c \in NewRun -> [draft |-> "B", kept |-> 0]
      [] c \in Refresh -> [draft |-> "R", kept |-> Content]

Same(run, draft) == plans[run].draft = draft.draft /\ plans[run].kept = draft.kept

\* `_complete`: nothing is left to do, which is found out without the lease.
Complete(c) ==
    /\ c \in Classify /\ call[c].at = "start" /\ plans # <<>>
    /\ \E run \in finished :
        /\ Same(run, Draft(c)) /\ HoldsRowsOf(run)
        /\ run = Latest \/ ~Same(Latest, Draft(c))
    /\ Ends(c, "done")
    /\ UNCHANGED <<lease, store, crashes, unclear>>

\* `StoreUnit` of all pending units comes with the reading of the ledger: only a vacuum could tell the
\* difference, and that finds more to remove.
Work(c, run, todo) ==
    /\ call' = [call EXCEPT ![c].at = "work", ![c].run = run, ![c].todo = todo, ![c].draft = <<>>]
    /\ parts' = parts \cup {[run |-> run, unit |-> unit, by |-> Me(c)] : unit \in todo}

Continue(c, run) ==
    /\ Work(c, run, UnitsOf(run) \ {entry.unit : entry \in EntriesOf(run)})
    /\ UNCHANGED <<lease, plans, ledger, files, log, flying, finished, crashes, unclear>>

\* `adopt`, up to the creation of a plan.
Adopt(c) ==
    LET draft == Draft(c)
        own == c \in Refresh /\ Content # 0 /\ plans[log[Content].run].draft = "R"
        same == plans # <<>> /\ Same(Latest, draft)
        sequence == IF plans = <<>> THEN 1 ELSE plans[Latest].sequence + 1
    IN
    /\ c \in Writers /\ call[c].at = "held"
    /\ CASE own /\ log[Content].run \in finished ->
                Ends(c, "done") /\ UNCHANGED <<lease, store, crashes, unclear>>
         [] own /\ log[Content].run \notin finished -> Continue(c, log[Content].run)
         [] ~own /\ same /\ (c \in Classify \/ Latest \notin finished) -> Continue(c, Latest)
         [] ~own /\ ~same /\ plans # <<>> /\ c \in Classify -> Stops(c)  \* "made from something else"
         [] OTHER ->
                IF Holds(c)
                THEN /\ call' = [call EXCEPT ![c].at = "plan",
                            ![c].draft = <<[draft |-> draft.draft, kept |-> draft.kept,
                                            sequence |-> sequence, epoch |-> call[c].epoch]>>]
                     /\ UNCHANGED <<lease, store, crashes, unclear>>
                ELSE Stops(c)

CreatePlan(c) ==
    LET plan == call[c].draft[1]
        taken == \E run \in 1..Len(plans) : Same(run, plan) /\ plans[run].sequence = plan.sequence
    IN
    /\ call[c].at = "plan"
    /\ IF taken THEN Stops(c)
       ELSE /\ plans' = Append(plans, plan)
            /\ Work(c, Len(plans) + 1, IF plan.kept = 0 THEN Units ELSE {2})
            /\ UNCHANGED <<lease, ledger, files, log, flying, finished, crashes, unclear>>

(* ------------------------------------ the ledger ----------------------------------- *)

Unit(c) == CHOOSE unit \in call[c].todo : \A other \in call[c].todo : unit <= other
Part(c) == [run |-> call[c].run, unit |-> Unit(c), by |-> Me(c)]

CreateEntry(c) ==
    LET standing == {entry \in EntriesOf(call[c].run) : entry.unit = Unit(c)}
    IN
    /\ call[c].at = "work" /\ call[c].todo # {}
    /\ ledger' = IF standing = {} THEN ledger \cup {Part(c)}
                 ELSE IF On("CreateOnlyLedger") THEN ledger
                 ELSE (ledger \ standing) \cup {Part(c)}
    /\ call' = [call EXCEPT ![c].todo = @ \ {Unit(c)}]
    /\ UNCHANGED <<lease, plans, parts, files, log, flying, finished, crashes, unclear>>

(* ------------------------------------ the commit ----------------------------------- *)

\* The rows that a refresh keeps come first; a file is named after something unique.
WriteFiles(c) ==
    LET run == call[c].run
        kept == IF plans[run].kept = 0 THEN {}
                ELSE {row \in RowsOf(log[plans[run].kept].live) : row.unit \notin UnitsOf(run)}
        file == [run |-> run, by |-> IF On("UniqueNames") THEN Me(c) ELSE <<>>,
                 rows |-> kept \cup EntriesOf(run)]
    IN
    /\ call[c].at = "work" /\ call[c].todo = {}
    /\ IF EntriesOf(run) \subseteq parts
       THEN /\ files' = files \cup {file}
            /\ call' = [call EXCEPT ![c].at = "look", ![c].files = {file}]
            /\ UNCHANGED <<lease, plans, ledger, parts, log, flying, finished, crashes, unclear>>
       ELSE Stops(c)

\* `may_commit` and `ConfirmLease`, immediately before the version is written.
Look(c) ==
    LET run == call[c].run
    IN
    /\ call[c].at = "look"
    /\ IF On("TransactionCheck") /\ Made(run)
       THEN /\ call' = [call EXCEPT ![c].at = "report", ![c].files = {}]
            /\ UNCHANGED <<lease, store, crashes, unclear>>
       ELSE IF \/ On("EpochCheck") /\ Epoch > call[c].epoch
               \/ On("BaseCheck") /\ plans[run].kept # 0 /\ Content # plans[run].kept
               \/ ~Holds(c)
       THEN Stops(c)
       ELSE /\ call' = [call EXCEPT ![c].at = "write", ![c].version = Len(log)]
            /\ UNCHANGED <<lease, store, crashes, unclear>>

\* A write over version n: it takes the place of that version's files.
Write(c) == [over |-> call[c].version, run |-> call[c].run, epoch |-> call[c].epoch, files |-> call[c].files]

Landed(write) ==
    LET live == IF log = <<>> THEN {} ELSE Last(log).live
        replaced == IF write.over = 0 THEN {} ELSE log[write.over].live
    IN  Append(log, [run |-> write.run, epoch |-> write.epoch,
                     live |-> IF write.run = NoRun THEN live ELSE (live \ replaced) \cup write.files])

\* Otherwise delta-rs writes it after versions that came in between ("rebases" it), except where one of them
\* has an application transaction in common: the run's, and the lease's, which every version has. Where there
\* was no table, it looks for no conflict at all.
Lands(write) ==
    \/ Len(log) = write.over
    \/ /\ ~On("ExactVersion")
       /\ \/ write.over = 0
          \/ ~On("LeaseTransaction") /\ \A n \in write.over + 1..Len(log) : log[n].run # write.run

\* One answer of each kind: the version is written, another was faster, or that is unclear.
Writes(c, write, written, again) ==
    /\ lease' = IF On("LeaseCAS") THEN lease ELSE Me(c)  \* a beat that overwrites whatever is there
    /\ \/ /\ log' = IF Lands(write) THEN Landed(write) ELSE log
          /\ IF Lands(write) THEN written ELSE again
          /\ UNCHANGED <<flying, unclear>>
       \/ /\ unclear < Unclear /\ unclear' = unclear + 1
          /\ \/ Lands(write) /\ log' = Landed(write) /\ flying' = flying
             \/ log' = log /\ flying' = flying \cup {write}
          /\ again
    /\ UNCHANGED <<plans, ledger, parts, files, finished, crashes>>

WriteVersion(c) ==
    /\ call[c].at = "write"
    /\ Writes(c, Write(c), call' = [call EXCEPT ![c].at = "report", ![c].version = 0, ![c].files = {}],
                            call' = [call EXCEPT ![c].at = "look", ![c].version = 0])

\* A write that was given up reaches the store after all: it is of one version, and finds it free or not.
LandLate ==
    \E write \in flying :
        /\ flying' = flying \ {write}
        /\ log' = IF Len(log) = write.over THEN Landed(write) ELSE log
        /\ UNCHANGED <<lease, plans, ledger, parts, files, finished, call, crashes, unclear>>

\* `check_held` and `EndRun`.
EndRun(c) ==
    /\ call[c].at = "report"
    /\ IF Holds(c) /\ HoldsRowsOf(call[c].run)
       THEN /\ finished' = finished \cup {call[c].run}
            /\ Ends(c, "done")
            /\ UNCHANGED <<lease, plans, ledger, parts, files, log, flying, crashes, unclear>>
       ELSE Stops(c)

(* ------------------------------------ the vacuum ----------------------------------- *)

\* Parts that no entry names or ever will, for their unit has one.
RemoveOrphans(v) ==
    LET orphans == {part \in parts \ ledger :
                        On("OrphanRule") => \E e \in ledger : e.run = part.run /\ e.unit = part.unit}
    IN
    /\ v \in Vacuum /\ call[v].at = "held"
    /\ parts' = parts \ orphans
    /\ Goes(v, "list")
    /\ UNCHANGED <<lease, plans, ledger, files, log, flying, finished, crashes, unclear>>

\* Data files that no version names.
List(v) ==
    /\ call[v].at = "list"
    /\ IF ~On("VacuumLeaseCheck") \/ lease = Me(v)
       THEN /\ IF files \subseteq Named THEN Ends(v, "done")
               ELSE call' = [call EXCEPT ![v].at = IF On("VacuumFence") THEN "fence" ELSE "remove",
                                         ![v].version = Len(log), ![v].files = files \ Named]
            /\ UNCHANGED <<lease, store, crashes, unclear>>
       ELSE Stops(v)

\* A version that changes no row: no commit that looked before can write now, nor any of a lower epoch.
Fence(v) ==
    /\ call[v].at = "fence"
    /\ Writes(v, Write(v), Goes(v, "remove"),
                            call' = [call EXCEPT ![v].at = "list", ![v].version = 0, ![v].files = {}])

Remove(v) ==
    /\ call[v].at = "remove"
    /\ files' = files \ call[v].files
    /\ Ends(v, "done")
    /\ UNCHANGED <<lease, plans, ledger, parts, log, flying, finished, crashes, unclear>>

(* ------------------------------------- all of it ----------------------------------- *)

\* The process dies, or has ended, and the same command is given again.
Again(c) ==
    /\ crashes < Crashes /\ call[c].at # "start"
    /\ crashes' = crashes + 1
    /\ call' = [call EXCEPT ![c] = Fresh]
    /\ UNCHANGED <<lease, store, unclear>>

Next ==
    \/ LandLate
    \/ \E c \in Callers :
        \/ TakeLease(c) \/ Complete(c) \/ Adopt(c) \/ CreatePlan(c) \/ CreateEntry(c)
        \/ WriteFiles(c) \/ Look(c) \/ WriteVersion(c) \/ EndRun(c)
        \/ RemoveOrphans(c) \/ List(c) \/ Fence(c) \/ Remove(c)
        \/ Again(c)

Spec == Init /\ [][Next]_vars

(* ---------------------------------- what always holds ------------------------------- *)

Versions == {n \in 1..Len(log) : log[n].run # NoRun}
PlanOf(n) == plans[log[n].run]

\* No version holds a galaxy twice, and each that a run wrote holds all of its galaxies.
GalaxyOnce ==
    \A n \in Versions :
        /\ \A one, other \in RowsOf(log[n].live) : one.unit = other.unit => one = other
        /\ Cardinality(log[n].live) = 1
        /\ {row.unit : row \in RowsOf(log[n].live)} = Units

\* A version holds the rows of one run; that of a refresh also rows that it kept, of the version just before.
OneRunAndItsBase ==
    \A n \in Versions :
        LET own == UnitsOf(log[n].run)
            before == {m \in Versions : m < n}
        IN  \A row \in RowsOf(log[n].live) :
                IF row.unit \in own THEN row.run = log[n].run
                ELSE /\ row \in RowsOf(log[PlanOf(n).kept].live)
                     /\ \A m \in before : m <= PlanOf(n).kept

\* What a version holds of a run is what the run's ledger says, now and for ever.
RowsAsEntered ==
    \A n \in Versions : {row \in RowsOf(log[n].live) : row.run = log[n].run} = EntriesOf(log[n].run)

NothingNamedRemoved == Named \subseteq files
NoEntryWithoutPart == ledger \subseteq parts
OneVersionPerRun == \A n, m \in Versions : log[n].run = log[m].run => n = m
EpochsNeverFall == \A n \in 1..Len(log) : n > 1 => log[n - 1].epoch <= log[n].epoch

\* A run that reported success is in the log, and what came after it is no older run's.
ReportedRunsStand ==
    \A run \in finished :
        \E n \in Versions :
            /\ log[n].run = run
            /\ \A m \in Versions : m > n => ~Newer(run, log[m].run)

\* Where nothing is removed, no one asks what lies there: states that differ in that alone count as one.
WithoutVacuum == <<lease, plans, ledger, log, flying, finished, call, crashes, unclear>>

\* To be violated: it is possible that every call ends well.
NeverAllDone == \E c \in Callers : call[c].at # "done"
=============================================================================
