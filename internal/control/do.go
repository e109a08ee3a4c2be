package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Do carries out a verb on a data folder: in the server that runs on it, or, with none running, under the folder's lock
// by the handler that open returns (close is called afterwards). A server that is just starting or stopping holds the
// lock without answering yet, so both ways are tried again for two seconds before ErrLocked.
func Do(ctx context.Context, dataDir, verb string, args, out any, open func(context.Context) (h Handler, close func() error, err error)) error {
	deadline := time.Now().Add(2 * time.Second)
	for {
		client, err := Dial(ctx, dataDir)
		if err == nil {
			defer client.Close()
			return client.Call(ctx, verb, args, out)
		}
		if !errors.Is(err, ErrNotRunning) {
			return err
		}
		lock, err := AcquireLock(dataDir)
		if err == nil {
			return underLock(ctx, lock, verb, args, out, open)
		}
		if !errors.Is(err, ErrLocked) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func underLock(ctx context.Context, lock *Lock, verb string, args, out any, open func(context.Context) (Handler, func() error, error)) (err error) {
	defer func() { err = errors.Join(err, lock.Release()) }()
	h, closeState, err := open(ctx)
	if err != nil {
		return err
	}
	if closeState != nil {
		defer func() { err = errors.Join(err, closeState()) }()
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	result, err := h.Handle(ctx, verb, raw)
	if err != nil || out == nil {
		return err
	}
	// Through JSON, as over the socket, so that both ways give the same.
	if raw, err = json.Marshal(result); err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("decode result: %w", err)
	}
	return nil
}
