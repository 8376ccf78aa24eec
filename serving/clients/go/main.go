// Asks a served `sentiment` model over REST. Go 1.21 or newer, the standard library alone.
//
//	go run . "A joyless film." "Warm, sly and very funny."
//	go run . -url https://models.example.com -deadline 2s "A joyless film."
//
// One Client for the life of the process, to be used from any goroutine: it keeps its connections open. A refused or
// lost request is asked again, later and later (a prediction changes nothing, so asking twice is safe), until the
// deadline, which holds for all tries together.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Answer is what the model gives for one text.
type Answer struct {
	Label         string    `json:"label"`
	Score         float64   `json:"score"`
	Probabilities []float64 `json:"probabilities"`
}

// Client asks one model.
type Client struct {
	URL     string // of the server, as http://127.0.0.1:8501
	Model   string
	Retries int // at most so many, after the first try
	HTTP    *http.Client
}

// NewClient gives a Client that keeps up to 32 connections open.
func NewClient(server, model string, retries int) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	return &Client{URL: strings.TrimRight(server, "/"), Model: model, Retries: retries, HTTP: &http.Client{Transport: transport}}
}

// Predict asks for all texts in one request; the answers are in their order. The context's deadline holds for all tries.
func (c *Client) Predict(ctx context.Context, texts []string) ([]Answer, error) {
	body, err := json.Marshal(map[string][]string{"instances": texts})
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		answers, again, err := c.once(ctx, body)
		if err == nil || !again || ctx.Err() != nil {
			return answers, err
		}
		if attempt >= c.Retries {
			return nil, fmt.Errorf("gave up: %w", err)
		}
		// Doubled each time, and a random part, so that clients do not come back at once.
		pause := min(2*time.Second, 100*time.Millisecond<<attempt)
		pause = time.Duration((0.5 + rand.Float64()/2) * float64(pause))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// once tries once, and says whether it is worth trying again.
func (c *Client) once(ctx context.Context, body []byte) ([]Answer, bool, error) {
	endpoint := c.URL + "/v1/models/" + url.PathEscape(c.Model) + ":predict"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, true, err
	}
	defer response.Body.Close()
	// To the end, or the connection is not used again.
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, true, err
	}
	var found struct {
		Predictions []Answer `json:"predictions"`
		Error       string   `json:"error"`
	}
	broken := json.Unmarshal(text, &found)
	if response.StatusCode != http.StatusOK {
		words := found.Error
		if broken != nil {
			words = "no JSON: is this a model server?"
		}
		// Full or starting (503), or told so by a proxy. 504 is not among them: the time is over.
		again := response.StatusCode == 429 || response.StatusCode == 502 || response.StatusCode == 503
		return nil, again, fmt.Errorf("HTTP %d: %s", response.StatusCode, words)
	}
	if broken != nil {
		return nil, false, broken
	}
	return found.Predictions, false, nil
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	server := flag.String("url", environment("SERVING_URL", "http://127.0.0.1:8501"), "of the server")
	model := flag.String("model", environment("SERVING_MODEL", "sentiment"), "its name")
	seconds, err := time.ParseDuration(environment("SERVING_DEADLINE", "5") + "s")
	if err != nil {
		seconds = 5 * time.Second
	}
	deadline := flag.Duration("deadline", seconds, "for all tries together")
	retries := flag.Int("retries", 4, "after the first try")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *deadline)
	defer cancel()
	answers, err := NewClient(*server, *model, *retries).Predict(ctx, flag.Args())
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", *deadline)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
	writer := json.NewEncoder(os.Stdout)
	writer.SetEscapeHTML(false)
	for row, answer := range answers {
		line := struct {
			Text string `json:"text"`
			Answer
		}{flag.Arg(row), answer}
		if err := writer.Encode(line); err != nil {
			os.Exit(1)
		}
	}
}
