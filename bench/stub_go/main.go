// The partner of the delivery bench: takes every delivery after a set delay and keeps a ledger of its own.
//
//	stub -port P
//
// A delivery is a POST whose webhook-id is <source>_<case>-<number>, numbers of a case counting from 1; a batch
// (content type cloudevents-batch) names its messages by the "id" of each. GET /stats tells what came, GET
// /arrivals when (if detailed), POST /control?reset=1&delay_ms=&detailed=&sick=none|hung|dead&every= begins anew:
// with sick, partners /p/<n> with n divisible by every hang, or break the connection.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type lane struct {
	highest int
	seen    []bool
}

type arrival struct {
	name string
	at   int64
}

// ledger is what the partner itself knows of its effects; the bench believes nobody else.
type ledger struct {
	sync.Mutex
	lanes      map[string]*lane
	effects    int
	doubled    int
	outOfOrder int
	unnamed    int
	firstAt    int64
	lastAt     int64
	detailed   bool
	arrivals   []arrival
}

var (
	book     = &ledger{lanes: map[string]*lane{}}
	delay    atomic.Int64 // nanoseconds
	sick     atomic.Value // string
	every    atomic.Int64
	requests atomic.Int64
	open     atomic.Int64
)

func (l *ledger) reset(detailed bool) {
	l.Lock()
	defer l.Unlock()
	l.lanes = map[string]*lane{}
	l.effects, l.doubled, l.outOfOrder, l.unnamed, l.firstAt, l.lastAt = 0, 0, 0, 0, 0, 0
	l.detailed, l.arrivals = detailed, nil
	requests.Store(0)
}

func (l *ledger) take(names [][]byte) {
	now := time.Now().UnixNano()
	l.Lock()
	defer l.Unlock()
	if l.firstAt == 0 {
		l.firstAt = now
	}
	l.lastAt = now
	for _, name := range names {
		dash := bytes.LastIndexByte(name, '-')
		number := 0
		if dash > 0 {
			number, _ = strconv.Atoi(string(name[dash+1:]))
		}
		if number < 1 {
			l.unnamed++
			continue
		}
		one := l.lanes[string(name[:dash])]
		if one == nil {
			one = &lane{}
			l.lanes[string(name[:dash])] = one
		}
		for len(one.seen) <= number {
			one.seen = append(one.seen, false)
		}
		if one.seen[number] {
			l.doubled++
			continue
		}
		one.seen[number] = true
		l.effects++
		if number < one.highest {
			l.outOfOrder++
		} else {
			one.highest = number
		}
		if l.detailed {
			l.arrivals = append(l.arrivals, arrival{string(name), now})
		}
	}
}

func (l *ledger) stats() []byte {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	cpu := float64(used.Utime.Sec+used.Stime.Sec) + float64(used.Utime.Usec+used.Stime.Usec)/1e6
	l.Lock()
	defer l.Unlock()
	told, _ := json.Marshal(map[string]any{
		"effects": l.effects, "doubled": l.doubled, "out_of_order": l.outOfOrder, "unnamed": l.unnamed,
		"first_at": float64(l.firstAt) / 1e9, "last_at": float64(l.lastAt) / 1e9, "cases": len(l.lanes),
		"requests": requests.Load(), "connections": open.Load(), "cpu_s": cpu,
	})
	return told
}

func (l *ledger) when() []byte {
	l.Lock()
	defer l.Unlock()
	var out bytes.Buffer
	for _, each := range l.arrivals {
		fmt.Fprintf(&out, "%s %d\n", each.name, each.at)
	}
	return out.Bytes()
}

// header finds a header's value in a head; names are compared without regard to case.
func header(head []byte, name string) []byte {
	for at := 0; ; {
		end := bytes.Index(head[at:], []byte("\r\n"))
		if end < 0 {
			return nil
		}
		line := head[at : at+end]
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
		at += end + 2
	}
}

func batched(body []byte) [][]byte {
	var names [][]byte
	mark := []byte(`"id":"`)
	for {
		at := bytes.Index(body, mark)
		if at < 0 {
			return names
		}
		body = body[at+len(mark):]
		end := bytes.IndexByte(body, '"')
		if end < 0 {
			return names
		}
		names = append(names, body[:end])
	}
}

var taken = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"reference\":\"R-1\"}")

func answer(body []byte) []byte {
	return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
}

func control(query string) []byte {
	asked, _ := url.ParseQuery(query)
	if ms, err := strconv.ParseFloat(asked.Get("delay_ms"), 64); err == nil {
		delay.Store(int64(ms * 1e6))
	}
	if found := asked.Get("sick"); found != "" {
		sick.Store(found)
	}
	if n, err := strconv.Atoi(asked.Get("every")); err == nil {
		every.Store(int64(n))
	}
	if asked.Get("reset") == "1" {
		book.reset(asked.Get("detailed") == "1")
	}
	return answer([]byte("{}"))
}

// sickness says how the partner at this path is: "none", "hung" or "dead".
func sickness(path string) string {
	how, _ := sick.Load().(string)
	n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(path, "/inbox"), "/p/"))
	if how == "" || how == "none" || err != nil || every.Load() < 1 || int64(n)%every.Load() != 0 {
		return "none"
	}
	return how
}

func serve(connection net.Conn) {
	open.Add(1)
	defer open.Add(-1)
	defer connection.Close()
	buffer := make([]byte, 0, 8192)
	for {
		end := bytes.Index(buffer, []byte("\r\n\r\n"))
		for end < 0 {
			if !more(connection, &buffer) {
				return
			}
			end = bytes.Index(buffer, []byte("\r\n\r\n"))
		}
		length, _ := strconv.Atoi(string(header(buffer[:end+2], "content-length")))
		for len(buffer) < end+4+length {
			if !more(connection, &buffer) {
				return
			}
		}
		told := handle(buffer[:end+2], buffer[end+4:end+4+length])
		if told == nil {
			return
		}
		if _, err := connection.Write(told); err != nil {
			return
		}
		buffer = append(buffer[:0], buffer[end+4+length:]...)
	}
}

func more(connection net.Conn, buffer *[]byte) bool {
	if len(*buffer) == cap(*buffer) {
		*buffer = append(make([]byte, 0, 2*cap(*buffer)), *buffer...)
	}
	n, err := connection.Read((*buffer)[len(*buffer):cap(*buffer)])
	*buffer = (*buffer)[:len(*buffer)+n]
	return err == nil
}

func handle(head, body []byte) []byte {
	words := strings.SplitN(string(head[:bytes.IndexByte(head, '\r')]), " ", 3)
	if len(words) < 3 {
		return nil
	}
	path, query, _ := strings.Cut(words[1], "?")
	switch {
	case path == "/stats":
		return answer(book.stats())
	case path == "/arrivals":
		return answer(book.when())
	case path == "/control":
		return control(query)
	}
	switch sickness(path) {
	case "dead":
		return nil
	case "hung":
		time.Sleep(time.Hour)
	}
	if words[0] != "POST" {
		return []byte("HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
	}
	requests.Add(1)
	told := taken
	if bytes.Contains(header(head, "content-type"), []byte("batch")) {
		names := batched(body)
		book.take(names)
		var results bytes.Buffer
		results.WriteString(`{"results":[`)
		for n, name := range names {
			if n > 0 {
				results.WriteByte(',')
			}
			fmt.Fprintf(&results, `{"id":"%s","status":200}`, name)
		}
		results.WriteString("]}")
		told = answer(results.Bytes())
	} else {
		name := header(head, "webhook-id")
		if at := bytes.IndexByte(name, '_'); at >= 0 {
			name = name[at+1:]
		}
		book.take([][]byte{name})
	}
	if wait := delay.Load(); wait > 0 {
		time.Sleep(time.Duration(wait))
	}
	return told
}

func main() {
	port := flag.Int("port", 0, "port on the loopback address")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection)
	}
}
