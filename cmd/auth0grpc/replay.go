package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/printable"
)

// A replayChange is the effect of the new table on a call of the log.
type replayChange string

// The effects, in the order of a review.
const (
	newlyAllowed     replayChange = "newly allowed"      // refused in the log
	undecided        replayChange = "undecided"          // the log lacks a fact that the new row needs
	newlyRefused     replayChange = "newly refused"      // passed in the log
	newlyReported    replayChange = "newly reported"     // passes by report-only alone
	noLongerReported replayChange = "no longer reported" // passed by report-only alone
	unchanged        replayChange = "unchanged"
)

var replayChanges = []replayChange{newlyAllowed, undecided, newlyRefused, newlyReported, noLongerReported, unchanged}

// A replayGroup counts calls of one method and client with one effect.
type replayGroup struct {
	Change replayChange `json:"change"`
	Method string       `json:"method"`
	Client string       `json:"client"`
	// Old and New are the outcomes in the log and under the new table. New is "" if it is
	// undecided, and Why then says why.
	Old       auth0grpc.Outcome `json:"old"`
	OldReason auth0grpc.Reason  `json:"oldReason,omitempty"`
	New       auth0grpc.Outcome `json:"new,omitempty"`
	NewReason auth0grpc.Reason  `json:"newReason,omitempty"`
	Why       string            `json:"why,omitempty"`
}

// A replayCount is a group and the number of its calls.
type replayCount struct {
	replayGroup
	Calls int `json:"calls"`
	// Allowed reports whether -allow names the method of a call that passes now.
	Allowed bool `json:"allowed,omitempty"`
}

// A methodCount is a number of calls of a method.
type methodCount struct {
	Method string `json:"method"`
	Calls  int    `json:"calls"`
}

// A policyCount is a number of calls under the table with a fingerprint.
type policyCount struct {
	Policy string `json:"policy"`
	Calls  int    `json:"calls"`
}

// A damagedLine is a line that is a decision and cannot be read.
type damagedLine struct {
	Line  int    `json:"line"`
	Fault string `json:"fault"`
}

// A replayReport is the effect of a table on the calls of a log.
type replayReport struct {
	Log       string               `json:"log"`
	Policy    string               `json:"policy"` // the fingerprint of the new table
	Decisions int                  `json:"decisions"`
	Review    int                  `json:"review"` // calls that pass now, or may pass, and that -allow does not name
	Counts    map[replayChange]int `json:"counts"`
	Changes   []replayCount        `json:"changes"`
	Others    int                  `json:"others,omitempty"` // changed calls beyond the bound of Changes
	// NotListed are the methods that a row decided on in the log, and no row in the new
	// table.
	NotListed       []methodCount `json:"notListed"`
	NotListedOthers int           `json:"notListedOthers,omitempty"`
	Policies        []policyCount `json:"policies"` // in the log
	SkippedLines    int           `json:"skippedLines"`
	DamagedLines    int           `json:"damagedLines"`
	Damaged         []damagedLine `json:"damaged"` // the first ones

	allowed   []string
	candidate *auth0grpc.Candidate
	groups    counter[replayGroup]
	notListed counter[string]
	policies  counter[string]
	notes     []string
}

// A counter counts a bounded number of keys. others counts all beyond.
type counter[K comparable] struct {
	counts map[K]int
	others int
}

// maxReplayKeys bounds the groups of a report: a client can invent methods.
const maxReplayKeys = 10_000

func (c *counter[K]) add(key K) {
	if c.counts == nil {
		c.counts = map[K]int{}
	}
	if _, ok := c.counts[key]; !ok && len(c.counts) == maxReplayKeys {
		c.others++
		return
	}
	c.counts[key]++
}

// runReplay evaluates a log of decisions under a table. The exit status is 1 if a call
// passes that did not, and -allow does not name its method.
func runReplay(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("auth0grpc replay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: auth0grpc replay -log decisions.jsonl -policy new.json

Replay evaluates the calls in a log under another table, and prints the calls whose
outcome differs, by method and client. Package auth0grpclog writes the log with its
setting Facts.

`)
		flags.PrintDefaults()
	}
	logName := flags.String("log", "", "`file` with the decisions, one JSON object a line; - is standard input")
	var policies, allowed []string
	flags.Func("policy", "`file` with the new table: JSON or a descriptor set, also in a Git revision; may be repeated", func(name string) error {
		policies = append(policies, name)
		return nil
	})
	flags.Func("allow", "full `methods` whose calls may be newly allowed; separated by commas or spaces; may be repeated", func(list string) error {
		allowed = append(allowed, splitList(list)...)
		return nil
	})
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	report, err := replay(ctx, flags.Args(), *logName, policies, allowed, stdin)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return exitUsage
	}
	if *asJSON {
		err = writeJSON(stdout, report)
	} else {
		err = report.writeText(stdout, wantsColor(stdout, getenv))
	}
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "auth0grpc: replay: %v\n", err)
		return exitUsage
	case report.Review > 0:
		return exitFaults
	case report.DamagedLines > 0: // one of them may be a call that passes now
		return exitUsage
	}
	return exitOK
}

var (
	errReplayArguments = errors.New("auth0grpc: replay: want no arguments; name the files by -log and -policy")
	errReplayFiles     = errors.New("auth0grpc: replay: want -log and -policy")
	errEmptyLog        = errors.New("the log has no decision; set Facts of auth0grpclog.Config and RecordFacts of auth0grpc.Config")
)

// replay reads the files and evaluates the log.
func replay(ctx context.Context, args []string, logName string, policies, allowed []string, stdin io.Reader) (*replayReport, error) {
	switch {
	case len(args) > 0:
		return nil, errReplayArguments
	case logName == "" || len(policies) == 0:
		return nil, errReplayFiles
	}
	methods, err := readTables(ctx, policies)
	if err != nil {
		return nil, err
	}
	r := &replayReport{Log: logName, allowed: allowed}
	if r.candidate, err = auth0grpc.NewCandidate(methods); err != nil {
		return nil, err
	}
	r.Policy = r.candidate.Policy()
	input := stdin
	if logName == "-" {
		r.Log = "standard input"
	} else {
		file, err := os.Open(logName)
		if err != nil {
			return nil, fmt.Errorf("auth0grpc: %w", err)
		}
		defer file.Close()
		input = file
	}
	done := make(chan error, 1)
	go func() { done <- r.read(input) }()
	select {
	case err = <-done:
	case <-ctx.Done(): // standard input may stay open
		err = ctx.Err()
	}
	if err == nil && r.Decisions == 0 {
		err = errEmptyLog
	}
	if err != nil {
		return nil, fmt.Errorf("auth0grpc: replay: %w", err)
	}
	r.finish()
	return r, nil
}

// add evaluates one decision of the log.
func (r *replayReport) add(d *auth0grpc.Decision) {
	r.Decisions++
	r.policies.add(clip(d.Policy))
	if r.Counts == nil {
		r.Counts = map[replayChange]int{}
	}
	g := replayGroup{Method: clip(d.FullMethod), Client: clip(d.Facts.ClientID), Old: d.Outcome, OldReason: clipReason(d.Reason)}
	next, err := r.candidate.Decide(d.FullMethod, d.Facts)
	if err != nil {
		g.Change, g.Why = undecided, withoutPackage(err)
	} else {
		g.Change, g.New, g.NewReason = changeOf(d.Outcome, next.Outcome), next.Outcome, clipReason(next.Reason)
		if next.Row == "" && d.Row != "" {
			r.notListed.add(g.Method)
		}
	}
	r.Counts[g.Change]++
	if g.Change == unchanged {
		return
	}
	r.groups.add(g)
	if g.mayPass() && !slices.Contains(r.allowed, d.FullMethod) {
		r.Review++
	}
}

// mayPass reports whether a call that was refused passes now, or may pass.
func (g *replayGroup) mayPass() bool {
	return g.Change == newlyAllowed || g.Change == undecided && g.Old == auth0grpc.OutcomeRefused
}

// changeOf compares two outcomes.
func changeOf(old, next auth0grpc.Outcome) replayChange {
	switch {
	case old == next:
		return unchanged
	case old == auth0grpc.OutcomeRefused:
		return newlyAllowed
	case next == auth0grpc.OutcomeRefused:
		return newlyRefused
	case next == auth0grpc.OutcomeReported:
		return newlyReported
	}
	return noLongerReported
}

// clip returns a text of the log for a report. A log may be damaged, or hostile.
func clip(text string) string { return printable.Cut(text, 256) }

func clipReason(reason auth0grpc.Reason) auth0grpc.Reason {
	return auth0grpc.Reason(clip(string(reason)))
}

// finish sorts the groups: first the changes to review, and the most frequent ones first.
func (r *replayReport) finish() {
	r.Changes, r.Others = []replayCount{}, r.groups.others
	named := map[string]bool{}
	for g, calls := range r.groups.counts {
		allowed := g.mayPass() && slices.Contains(r.allowed, g.Method)
		named[g.Method] = named[g.Method] || allowed
		r.Changes = append(r.Changes, replayCount{g, calls, allowed})
	}
	slices.SortFunc(r.Changes, func(a, b replayCount) int {
		return cmp.Or(slices.Index(replayChanges, a.Change)-slices.Index(replayChanges, b.Change), b.Calls-a.Calls,
			cmp.Compare(a.Method, b.Method), cmp.Compare(a.Client, b.Client), cmp.Compare(a.effect(), b.effect()))
	})
	r.NotListed, r.NotListedOthers = []methodCount{}, r.notListed.others
	for method, calls := range r.notListed.counts {
		r.NotListed = append(r.NotListed, methodCount{method, calls})
	}
	slices.SortFunc(r.NotListed, func(a, b methodCount) int { return cmp.Or(b.Calls-a.Calls, cmp.Compare(a.Method, b.Method)) })
	for policy, calls := range r.policies.counts {
		r.Policies = append(r.Policies, policyCount{policy, calls})
	}
	slices.SortFunc(r.Policies, func(a, b policyCount) int { return cmp.Or(b.Calls-a.Calls, cmp.Compare(a.Policy, b.Policy)) })
	for _, method := range slices.Compact(slices.Sorted(slices.Values(r.allowed))) {
		if !named[method] && r.Others == 0 {
			r.notes = append(r.notes, fmt.Sprintf("-allow %s: no call of the method is newly allowed", method))
		}
	}
	if r.Damaged == nil {
		r.Damaged = []damagedLine{}
	}
}
