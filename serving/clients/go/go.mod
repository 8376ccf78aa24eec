module example.com/sentiment

go 1.21
