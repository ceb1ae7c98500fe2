// Martlet with Go's standard library: a job, a map whose results come while it runs, a refusal.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

// A Problem is an answer by RFC 9457.
type Problem struct {
	Type, Title, Detail, Pointer string
	Status                       int
}

func (p *Problem) Error() string { return fmt.Sprintf("%d %s", p.Status, p.Detail) }

// A Job is one call of a function, or with Map one for each item.
type Job struct {
	Function string `json:"function"`
	Args     []any  `json:"args,omitempty"`
	Map      []any  `json:"map,omitempty"`
}

// A Client asks one server; it is safe for concurrent use.
type Client struct {
	URL, Token string
	HTTP       http.Client
}

func (c *Client) ask(method, path string, body any, header http.Header) (io.ReadCloser, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequest(method, c.URL+path, &content)
	if err != nil {
		return nil, err
	}
	if header != nil {
		request.Header = header
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	answer, err := c.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		problem := new(Problem)
		if err := json.NewDecoder(answer.Body).Decode(problem); err != nil {
			return nil, fmt.Errorf("%s: %w", answer.Status, err)
		}
		return nil, problem
	}
	return answer.Body, nil
}

// Submit returns the id of the new job, which is on the server's disk by then.
func (c *Client) Submit(job Job) (string, error) {
	key := make([]byte, 16)
	rand.Read(key)
	// The key makes a repeat after a lost answer the same job.
	header := http.Header{"Idempotency-Key": {fmt.Sprintf("%x", key)}}
	body, err := c.ask("POST", "/v1/jobs", job, header)
	if err != nil {
		return "", err
	}
	defer body.Close()
	var answer struct{ ID string }
	return answer.ID, json.NewDecoder(body).Decode(&answer)
}

// Result waits for the job's result, at most 30 s, and decodes it.
func (c *Client) Result(id string, result any) error {
	body, err := c.ask("GET", "/v1/jobs/"+id+"/result?wait=30", nil, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(result)
}

// Items calls back with each item's line, in their order, while the job runs.
func (c *Client) Items(id string, each func(line []byte) error) error {
	body, err := c.ask("GET", "/v1/jobs/"+id+"/items?wait=30", nil, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	client := Client{URL: os.Getenv("MARTLET_URL"), Token: os.Getenv("MARTLET_TOKEN")}
	if client.URL == "" {
		client.URL = "http://127.0.0.1:8080"
	}
	client.HTTP.Timeout = time.Minute

	id, err := client.Submit(Job{Function: "square", Args: []any{12}})
	check(err)
	var square int
	check(client.Result(id, &square))
	fmt.Println("square(12) =", square)

	id, err = client.Submit(Job{Function: "square", Map: []any{1, 2, 3, 4, 5}})
	check(err)
	check(client.Items(id, func(line []byte) error {
		_, err := fmt.Printf("%s\n", line)
		return err
	}))

	_, err = client.Submit(Job{Function: "squere", Args: []any{12}})
	fmt.Println(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
