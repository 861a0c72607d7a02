package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

type backends struct {
	redis  *redis.Client
	client *http.Client
	url    string
}

type searchInput struct {
	Category string  `json:"category,omitempty"`
	MinPrice float64 `json:"min_price,omitempty"`
	MaxPrice float64 `json:"max_price,omitempty"`
	Limit    float64 `json:"limit,omitempty"`
}

type cartInput struct {
	UserID string `json:"user_id,omitempty"`
}

type item struct {
	ProductID float64 `json:"product_id"`
	Quantity  float64 `json:"quantity"`
}

type checkoutInput struct {
	UserID string `json:"user_id,omitempty"`
	Items  []item `json:"items,omitempty"`
}

type product struct {
	ID             int     `json:"id"`
	SKU            string  `json:"sku"`
	Name           string  `json:"name"`
	Price          float64 `json:"price"`
	Rating         float64 `json:"rating"`
	PopularityRank int     `json:"popularity_rank"`
}

type searchAnswer struct {
	Category   string    `json:"category"`
	TotalFound int       `json:"total_found"`
	Products   []product `json:"products"`
	TopTenIDs  []int     `json:"top10_popular_ids"`
}

type cart struct {
	Items          []json.RawMessage `json:"items"`
	ItemCount      int               `json:"item_count"`
	EstimatedTotal float64           `json:"estimated_total"`
}

type cartAnswer struct {
	UserID  string            `json:"user_id"`
	Cart    cart              `json:"cart"`
	History []json.RawMessage `json:"recent_history"`
}

type order struct {
	OrderID string `json:"order_id"`
	Items   []item `json:"items"`
	TS      int64  `json:"ts"`
}

type calculateRequest struct {
	UserID string `json:"user_id"`
	Items  []item `json:"items"`
}

type checkoutAnswer struct {
	OrderID        string  `json:"order_id"`
	UserID         string  `json:"user_id"`
	Total          float64 `json:"total"`
	ItemsCount     int     `json:"items_count"`
	RateLimitCount int64   `json:"rate_limit_count"`
	Status         string  `json:"status"`
}

func addTools(server *mcp.Server, b *backends) {
	mcp.AddTool(server, &mcp.Tool{
		Name:        "search_products",
		Description: "Search products by category and price range, merged with popularity data",
		InputSchema: schema[searchInput](map[string]string{
			"category": `"Electronics"`, "min_price": `50`, "max_price": `500`, "limit": `10`,
		}),
	}, b.search)
	mcp.AddTool(server, &mcp.Tool{
		Name:        "get_user_cart",
		Description: "Get user cart details with recent order history",
		InputSchema: schema[cartInput](map[string]string{"user_id": `"user-00042"`}),
	}, b.cart)
	mcp.AddTool(server, &mcp.Tool{
		Name:        "checkout",
		Description: "Process checkout: calculate total, update rate limit, record history",
		InputSchema: schema[checkoutInput](map[string]string{"user_id": `"user-00042"`, "items": `[]`}),
	}, b.checkout)
}

func schema[In any](defaults map[string]string) *jsonschema.Schema {
	found, err := jsonschema.For[In](nil)
	if err != nil {
		panic(err)
	}
	for name, value := range defaults {
		property := found.Properties[name]
		property.Default = json.RawMessage(value)
		// A slice is inferred as "null or array"; the other servers take no null.
		if property.Types != nil {
			property.Type, property.Types = "array", nil
		}
	}
	return found
}

func (b *backends) search(ctx context.Context, _ *mcp.CallToolRequest, in searchInput) (*mcp.CallToolResult, any, error) {
	number := func(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }
	path := "/products/search?category=" + url.QueryEscape(in.Category) + "&min_price=" + number(in.MinPrice) +
		"&max_price=" + number(in.MaxPrice) + "&limit=" + number(in.Limit)
	answer := searchAnswer{Category: in.Category, TopTenIDs: []int{}}
	var found struct {
		TotalFound int       `json:"total_found"`
		Products   []product `json:"products"`
	}
	var popular []string
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.getJSON(ctx, path, &found) })
	group.Go(func() (err error) {
		popular, err = b.redis.ZRevRange(ctx, "bench:popular", 0, 9).Result()
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	rank := make(map[int]int, len(popular))
	for n, member := range popular {
		_, text, _ := strings.Cut(member, ":")
		id, err := strconv.Atoi(text)
		if err != nil {
			return nil, nil, err
		}
		answer.TopTenIDs = append(answer.TopTenIDs, id)
		rank[id] = n + 1
	}
	for n := range found.Products {
		found.Products[n].PopularityRank = rank[found.Products[n].ID]
	}
	answer.TotalFound, answer.Products = found.TotalFound, found.Products
	return asText(answer)
}

func (b *backends) cart(ctx context.Context, _ *mcp.CallToolRequest, in cartInput) (*mcp.CallToolResult, any, error) {
	kept, err := b.redis.HGetAll(ctx, "bench:cart:"+in.UserID).Result()
	if err != nil {
		return nil, nil, err
	}
	items := []json.RawMessage{}
	first := item{ProductID: 1}
	if text, ok := kept["items"]; ok {
		if err := json.Unmarshal([]byte(text), &items); err != nil {
			return nil, nil, err
		}
		if len(items) > 0 {
			if err := json.Unmarshal(items[0], &first); err != nil {
				return nil, nil, err
			}
		}
	}
	var detail product
	var history []string
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return b.getJSON(ctx, "/products/"+strconv.Itoa(int(first.ProductID)), &detail)
	})
	group.Go(func() (err error) {
		history, err = b.redis.LRange(ctx, "bench:history:"+in.UserID, 0, 4).Result()
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	recent := make([]json.RawMessage, len(history))
	for n, text := range history {
		recent[n] = json.RawMessage(text)
	}
	total, _ := strconv.ParseFloat(kept["total"], 64)
	return asText(cartAnswer{
		UserID:  in.UserID,
		Cart:    cart{Items: items, ItemCount: len(items), EstimatedTotal: total},
		History: recent,
	})
}

func (b *backends) checkout(ctx context.Context, _ *mcp.CallToolRequest, in checkoutInput) (*mcp.CallToolResult, any, error) {
	user, _ := strconv.Atoi(in.UserID[strings.LastIndexByte(in.UserID, '-')+1:])
	now := time.Now().UnixMilli()
	pushed, err := json.Marshal(order{OrderID: fmt.Sprintf("ORD-%s-%d", in.UserID, now), Items: in.Items, TS: now})
	if err != nil {
		return nil, nil, err
	}
	first := 1
	if len(in.Items) > 0 {
		first = int(in.Items[0].ProductID)
	}
	var calculated struct {
		OrderID string  `json:"order_id"`
		Total   float64 `json:"total"`
	}
	var rate int64
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return b.postJSON(ctx, "/cart/calculate", calculateRequest{UserID: in.UserID, Items: in.Items}, &calculated)
	})
	group.Go(func() (err error) {
		rate, err = b.redis.Incr(ctx, fmt.Sprintf("bench:ratelimit:user-%05d", user%100)).Result()
		return err
	})
	group.Go(func() error { return b.redis.RPush(ctx, "bench:history:"+in.UserID, pushed).Err() })
	group.Go(func() error {
		return b.redis.ZIncrBy(ctx, "bench:popular", 1, "product:"+strconv.Itoa(first)).Err()
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	return asText(checkoutAnswer{
		OrderID:        calculated.OrderID,
		UserID:         in.UserID,
		Total:          calculated.Total,
		ItemsCount:     len(in.Items),
		RateLimitCount: rate,
		Status:         "confirmed",
	})
}

func asText(value any) (*mcp.CallToolResult, any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, nil, err
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}}, nil, nil
}

func (b *backends) getJSON(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
	if err != nil {
		return err
	}
	return b.askJSON(request, into)
}

func (b *backends) postJSON(ctx context.Context, path string, body, into any) error {
	sent, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+path, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return b.askJSON(request, into)
}

func (b *backends) askJSON(request *http.Request, into any) error {
	response, err := b.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}
