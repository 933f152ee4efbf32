// A Mercure hub, with its history in a file. Arguments: port, folder, key.
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/dunglas/mercure"
)

func main() {
	logger := slog.New(slog.DiscardHandler)
	file := filepath.Join(os.Args[2], "updates.db")
	transport, err := mercure.NewBoltTransport(mercure.NewSubscriberList(1000), logger, file, "updates", 0, 0)
	if err != nil {
		log.Fatal(err)
	}
	hub, err := mercure.NewHub(context.Background(), mercure.WithTransport(transport), mercure.WithLogger(logger),
		mercure.WithAnonymous(), mercure.WithHeartbeat(15*time.Second), mercure.WithPublisherJWT([]byte(os.Args[3]), "HS256"))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/.well-known/mercure", hub)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
