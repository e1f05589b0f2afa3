// Copyright (c) 2026, the vmstation.cluster contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	maxPush      = 4 << 20 // bytes of a request
	defaultLimit = 100     // lines of an answer, as in Loki
)

// entry is a line with the labels of its stream, and as such one line of the file.
type entry struct {
	Labels map[string]string `json:"labels"`
	Time   int64             `json:"time"` // nanoseconds since 1970
	Line   string            `json:"line"`
}

// logs is a small part of Loki's HTTP API: it keeps what is pushed as JSON, and finds it by label matchers. It evaluates no line filters, no
// parsers and no metric queries, and enforces no limits and no retention.
type logs struct {
	lock    sync.Mutex
	file    *os.File
	entries []entry
}

// openLogs reads what an earlier process has written. Its last line may be cut.
func openLogs(directory string) (*logs, error) {
	file, err := os.OpenFile(filepath.Join(directory, "stand-in.jsonl"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	kept := &logs{file: file}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 2*maxPush)
	for lines.Scan() {
		var one entry
		if json.Unmarshal(lines.Bytes(), &one) == nil {
			kept.entries = append(kept.entries, one)
		}
	}
	if lines.Err() != nil {
		return nil, lines.Err()
	}
	_, err = file.WriteString("\n")
	return kept, err
}

func (kept *logs) serve() {
	http.HandleFunc("POST /loki/api/v1/push", kept.push)
	http.HandleFunc("GET /loki/api/v1/query_range", asked(kept.queryRange))
	http.HandleFunc("GET /loki/api/v1/labels", asked(kept.labelNames))
	http.HandleFunc("GET /loki/api/v1/label/{name}/values", asked(kept.labelValues))
}

func (kept *logs) push(answer http.ResponseWriter, request *http.Request) {
	var body struct {
		Streams []struct {
			Stream map[string]string `json:"stream"`
			Values [][2]string       `json:"values"`
		} `json:"streams"`
	}
	if kind := request.Header.Get("Content-Type"); kind != "application/json" {
		http.Error(answer, fmt.Sprintf("Content-Type: found %q; required: application/json", kind), http.StatusUnsupportedMediaType)
		return
	}
	if err := json.NewDecoder(http.MaxBytesReader(answer, request.Body, maxPush)).Decode(&body); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	var pushed []entry
	var written []byte
	for _, stream := range body.Streams {
		if len(stream.Stream) == 0 {
			http.Error(answer, "at least one label pair is required per stream", http.StatusBadRequest)
			return
		}
		for _, value := range stream.Values {
			nanoseconds, err := strconv.ParseInt(value[0], 10, 64)
			if err != nil {
				http.Error(answer, err.Error(), http.StatusBadRequest)
				return
			}
			one := entry{stream.Stream, nanoseconds, value[1]}
			line, err := json.Marshal(one)
			if err != nil {
				http.Error(answer, err.Error(), http.StatusBadRequest)
				return
			}
			pushed, written = append(pushed, one), append(append(written, line...), '\n')
		}
	}
	kept.lock.Lock()
	defer kept.lock.Unlock()
	if _, err := kept.file.Write(written); err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	kept.entries = append(kept.entries, pushed...)
	answer.WriteHeader(http.StatusNoContent)
}

func (kept *logs) queryRange(request *http.Request) (any, error) {
	parameters := request.URL.Query()
	found, err := kept.find(parameters, true)
	if err != nil {
		return nil, err
	}
	limit := defaultLimit
	if text := parameters.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, func(one, other entry) int { return cmp.Compare(one.Time, other.Time) })
	if parameters.Get("direction") != "forward" {
		slices.Reverse(found)
	}
	type stream struct {
		Stream map[string]string `json:"stream"`
		Values [][2]string       `json:"values"`
	}
	streams, places := []*stream{}, map[string]*stream{}
	for _, one := range found[:min(limit, len(found))] {
		name := fmt.Sprint(one.Labels) // sorted by their names
		if places[name] == nil {
			places[name] = &stream{Stream: one.Labels}
			streams = append(streams, places[name])
		}
		places[name].Values = append(places[name].Values, [2]string{strconv.FormatInt(one.Time, 10), one.Line})
	}
	return map[string]any{"resultType": "streams", "result": streams}, nil
}

func (kept *logs) labelNames(request *http.Request) (any, error) {
	found, err := kept.find(request.URL.Query(), false)
	names := map[string]bool{}
	for _, one := range found {
		for name := range one.Labels {
			names[name] = true
		}
	}
	return sorted(names), err
}

func (kept *logs) labelValues(request *http.Request) (any, error) {
	found, err := kept.find(request.URL.Query(), false)
	values := map[string]bool{}
	for _, one := range found {
		if value, is := one.Labels[request.PathValue("name")]; is {
			values[value] = true
		}
	}
	return sorted(values), err
}

// find returns the lines of the last hour, or of another time "since", whose labels the query matches.
func (kept *logs) find(parameters url.Values, queried bool) ([]entry, error) {
	for name := range parameters {
		if !slices.Contains([]string{"query", "since", "limit", "direction", "step"}, name) {
			return nil, fmt.Errorf("parameter %s: the stand-in for Loki does not know it", name)
		}
	}
	since := time.Hour
	if text := parameters.Get("since"); text != "" {
		var err error
		if since, err = time.ParseDuration(text); err != nil {
			return nil, err
		}
	}
	var matchers []matcher
	if query := parameters.Get("query"); queried || query != "" {
		var err error
		if matchers, err = parseSelector(query); err != nil {
			return nil, err
		}
	}
	kept.lock.Lock()
	defer kept.lock.Unlock()
	var found []entry
	oldest := time.Now().Add(-since).UnixNano()
	for _, one := range kept.entries {
		if one.Time >= oldest && !slices.ContainsFunc(matchers, func(each matcher) bool { return !each.matches(one.Labels[each.label]) }) {
			found = append(found, one)
		}
	}
	return found, nil
}

// matcher is one of a selector: label="value", or one of !=, =~ and !~, whose expressions match whole values.
type matcher struct {
	label   string
	negated bool
	value   *regexp.Regexp
}

func (each matcher) matches(value string) bool { return each.value.MatchString(value) != each.negated }

const oneMatcher = "([a-zA-Z_][a-zA-Z0-9_]*)\\s*(=~|!~|!=|=)\\s*(\"(?:[^\"\\\\\n]|\\\\.)*\"|`[^`]*`)"

var (
	eachMatcher = regexp.MustCompile(oneMatcher)
	selector    = regexp.MustCompile(`^\s*\{\s*` + oneMatcher + `(?:\s*,\s*` + oneMatcher + `)*\s*,?\s*\}\s*$`)
)

func parseSelector(query string) ([]matcher, error) {
	if !selector.MatchString(query) {
		return nil, fmt.Errorf("query: found %s; required: label matchers in braces, of which alone the stand-in for Loki knows", query)
	}
	var matchers []matcher
	for _, parts := range eachMatcher.FindAllStringSubmatch(query, -1) {
		value, err := strconv.Unquote(parts[3])
		if err != nil {
			return nil, fmt.Errorf("query: %s: %w", parts[3], err)
		}
		if parts[2] == "=" || parts[2] == "!=" {
			value = regexp.QuoteMeta(value)
		}
		expression, err := regexp.Compile("^(?s:" + value + ")$")
		if err != nil {
			return nil, fmt.Errorf("query: %w", err)
		}
		matchers = append(matchers, matcher{parts[1], parts[2][0] == '!', expression})
	}
	if !slices.ContainsFunc(matchers, func(each matcher) bool { return !each.matches("") }) {
		return nil, errors.New("query: at least one matcher must not match the empty value")
	}
	return matchers, nil
}

func sorted(set map[string]bool) []string {
	all := []string{}
	for one := range set {
		all = append(all, one)
	}
	slices.Sort(all)
	return all
}

// asked answers with what a question finds as Loki does, or with status 400 and what is wrong.
func asked(question func(*http.Request) (any, error)) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		data, err := question(request)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusBadRequest)
			return
		}
		answer.Header().Set("Content-Type", "application/json")
		json.NewEncoder(answer).Encode(map[string]any{"status": "success", "data": data})
	}
}
