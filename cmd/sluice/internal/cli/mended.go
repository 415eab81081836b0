package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// mendedLine is one line of a file of mended records.
type mendedLine struct {
	ID     int64           `json:"id"` // of the dead letter
	Record json.RawMessage `json:"record"`
}

// maxMendedLine is more than any record that becomes an event has.
const maxMendedLine = 2 << 20

func readMendedFile(name string) (map[int64][]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	mended, err := readMended(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return mended, nil
}

// readMended reads mended records, one a line, by the ids of their dead letters. Empty lines are allowed.
func readMended(r io.Reader) (map[int64][]byte, error) {
	mended := map[int64][]byte{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxMendedLine)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		one, err := readMendedLine(lines.Bytes())
		if err == nil && mended[one.ID] != nil {
			err = fmt.Errorf("the dead letter %d is there twice", one.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		mended[one.ID] = one.Record
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(mended) == 0 {
		return nil, errors.New("there is no record in it")
	}
	return mended, nil
}

func readMendedLine(line []byte) (one mendedLine, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err = dec.Decode(&one)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("something follows the object")
		}
	}
	switch {
	case err != nil:
		return one, fmt.Errorf(`it is not {"id":17,"record":{…}}: %w`, err)
	case one.ID <= 0:
		return one, fmt.Errorf("the id %d is none of a dead letter", one.ID)
	case len(one.Record) == 0:
		return one, errors.New("it has no record")
	}
	return one, nil
}
